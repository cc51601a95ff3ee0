//! `steer uninstall`: the manifest that cleans nodes, or a cluster without steer.

use anyhow::bail;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    Exit,
    args::Uninstall,
    install::mode,
    output::{self, counted},
};
use crate::install::{
    self, Identity, Options,
    server::{Progress, Server, ServerError},
};

/// Prints the manifest, or takes steer away.
pub(super) fn run(args: &Uninstall) -> anyhow::Result<Exit> {
    if !args.target.apply {
        let objects = install::unload(&args.options())?;
        output::write(&install::text(&objects)?)?;
        return Ok(Exit::Done);
    }
    match super::runtime()?.block_on(take_away(args)) {
        Err(error) if matches!(error.downcast_ref(), Some(ServerError::Refused { .. })) => {
            output::remark(&format!("steer: {error}"));
            Ok(Exit::No)
        }
        exit => exit,
    }
}

/// The agents first: none runs where programs are taken away, and none puts them back.
async fn take_away(args: &Uninstall) -> anyhow::Result<Exit> {
    let server = Server::new(&args.target.access(), args.target.dry_run).await?;
    let mut options = args.options();
    let objects = install::agent(&options)?;
    let Some(agents) = daemon_set(&objects) else {
        bail!("the manifest of steer has no DaemonSet");
    };
    if options.image.is_none() {
        options.image = installed_image(&server, &agents, &options).await?;
    }
    delete(args, &server, &agents).await?;
    if !args.keep_programs && !clean(args, &server, &options, &agents).await? {
        return Ok(Exit::No);
    }
    let rest = objects.iter().rev().filter_map(Identity::of);
    for identity in rest.filter(|identity| *identity != agents) {
        delete(args, &server, &identity).await?;
    }
    Ok(Exit::Done)
}

/// The agents' image, or, if an earlier try took them away, that of the pods that unload.
async fn installed_image(
    server: &Server,
    agents: &Identity,
    options: &Options,
) -> anyhow::Result<Option<String>> {
    if let Some(image) = server.image(agents).await? {
        return Ok(Some(image));
    }
    match daemon_set(&install::unload(options)?) {
        Some(pods) => Ok(server.image(&pods).await?),
        None => Ok(None),
    }
}

/// Unloads every node; false if that takes too long.
async fn clean(
    args: &Uninstall,
    server: &Server,
    options: &Options,
    agents: &Identity,
) -> anyhow::Result<bool> {
    let objects = install::unload(options)?;
    let Some(pods) = daemon_set(&objects) else {
        bail!("the manifest that unloads has no DaemonSet");
    };
    if args.target.dry_run {
        output::write("every node would be unloaded\n")?;
        return Ok(true);
    }
    let mut last = None;
    let cleaned = async {
        server.gone(agents).await?;
        for object in &objects {
            server.apply(object, true).await?;
        }
        server
            .ready(&pods, |progress| {
                output::remark(&told(progress));
                last = Some(progress);
            })
            .await
    };
    if let Ok(cleaned) = timeout(args.patience(), cleaned).await {
        cleaned?;
        delete(args, server, &pods).await?;
        return Ok(true);
    }
    let so_far = last.map_or_else(|| "no node was cleaned".to_owned(), told);
    let namespace = pods.namespace.as_deref().unwrap_or_default();
    output::remark(&format!(
        "steer: {so_far} after {}: kubectl -n {namespace} get pods -o wide says where it hangs; then \
         try again",
        counted(
            usize::try_from(args.timeout).unwrap_or(usize::MAX),
            "second"
        )
    ));
    Ok(false)
}

fn told(progress: Progress) -> String {
    match progress.wanted {
        Some(wanted) => format!("{} of {wanted} nodes are clean", progress.ready),
        None => "nobody has counted the nodes yet".to_owned(),
    }
}

fn daemon_set(objects: &[Value]) -> Option<Identity> {
    let mut all = objects.iter().filter_map(Identity::of);
    all.find(|identity| identity.place.kind == "DaemonSet")
}

async fn delete(args: &Uninstall, server: &Server, identity: &Identity) -> anyhow::Result<()> {
    let what = if server.delete(identity).await? {
        "deleted"
    } else {
        "is not there"
    };
    output::write(&format!("{identity} {what}{}\n", mode(&args.target)))
}
