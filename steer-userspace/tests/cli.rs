//! The command `steer` as a shell sees it: what it prints where, and how it ends. Nothing here
//! needs privileges, or an agent.

mod cli {
    mod files;
    mod generated;
    mod instance;
    mod plugin;
    mod stage;
    mod usage;
}
