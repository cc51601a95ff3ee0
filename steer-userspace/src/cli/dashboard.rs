//! `steer dashboard`.

use anyhow::Context as _;

use super::{
    Exit,
    args::{self, Instance},
    output,
};
use crate::dashboard::{Agents, Dashboard, Settings};

/// Serves the page until it is told to stop.
pub(super) fn run(args: args::Dashboard, instance: &Instance) -> anyhow::Result<Exit> {
    let settings = Settings {
        listen: args.listen,
        agents: if args.agent.is_empty() {
            Agents::local(&instance.state)
        } else {
            Agents::Remote(args.agent)
        },
        window: args.window,
    };
    super::runtime()?.block_on(async {
        let listen = settings.listen;
        let dashboard = Dashboard::bind(settings).await;
        let dashboard = dashboard.with_context(|| format!("listening at {listen}"))?;
        let address = dashboard.address()?;
        output::write(&format!("http://{address}/\n"))?;
        if !address.ip().is_loopback() {
            output::remark(
                "nobody is asked who they are: whoever reaches this address reads who talks with whom",
            );
        }
        dashboard.serve().await?;
        Ok(Exit::Done)
    })
}
