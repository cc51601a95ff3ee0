//! One hook, one file: read the context, call the decision, return the verdict.

mod connect;
mod getpeername;
mod recvmsg;
mod sendmsg;
mod steer;
