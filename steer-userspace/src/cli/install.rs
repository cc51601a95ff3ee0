//! `steer install`: the manifest, or steer on a cluster.

use serde_json::Value;

use super::{
    Exit,
    args::{Install, Target},
    output::{self, counted},
};
use crate::install::{
    self, Identity,
    server::{Applied, Server, ServerError},
};

/// Prints the manifest, or applies it.
pub(super) fn run(args: &Install) -> anyhow::Result<Exit> {
    let objects = install::agent(&args.options())?;
    if !args.target.apply {
        output::write(&install::text(&objects)?)?;
        return Ok(Exit::Done);
    }
    super::runtime()?.block_on(apply(args, &objects))
}

async fn apply(args: &Install, objects: &[Value]) -> anyhow::Result<Exit> {
    let target = &args.target;
    let server = Server::new(&target.access(), target.dry_run).await?;
    let mut refused = 0;
    let mut missing = Vec::new();
    for object in objects {
        let applied = server.apply(object, args.force_conflicts).await;
        let Some(identity) = Identity::of(object) else {
            continue;
        };
        match applied {
            Ok(Applied::Created) if target.dry_run && identity.place.kind == "Namespace" => {
                output::write(&line(&identity, Applied::Created, target))?;
                missing.push(identity.name);
            }
            Ok(applied) => output::write(&line(&identity, applied, target))?,
            Err(error) if is_for_lack(&error, &missing) => output::write(&format!(
                "{identity} not checked: its namespace would be created first\n"
            ))?,
            Err(error @ ServerError::Refused { .. }) => {
                output::remark(&format!("steer: {error}"));
                refused += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if refused > 0 {
        output::remark(&format!("steer: {} refused", counted(refused, "object")));
        return Ok(Exit::No);
    }
    Ok(Exit::Done)
}

/// In a dry run nothing can be checked in a namespace that is not there yet.
fn is_for_lack(error: &ServerError, missing: &[String]) -> bool {
    let ServerError::Refused {
        object, code: 404, ..
    } = error
    else {
        return false;
    };
    object
        .namespace
        .as_ref()
        .is_some_and(|namespace| missing.contains(namespace))
}

fn line(identity: &Identity, applied: Applied, target: &Target) -> String {
    let what = match applied {
        Applied::Created => "created",
        Applied::Changed => "changed",
        Applied::Unchanged => "unchanged",
    };
    format!("{identity} {what}{}\n", mode(target))
}

/// What stands after everything that was not really done.
pub(super) fn mode(target: &Target) -> &'static str {
    if target.dry_run {
        " (dry run on the server)"
    } else {
        ""
    }
}
