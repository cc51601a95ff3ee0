//! One hook, one file: read the context, call the decision, return the verdict.

mod cgroup_egress;
mod cgroup_ingress;
mod cgroup_tap;
mod connect;
mod edge;
mod getpeername;
mod recvmsg;
mod release;
mod sendmsg;
mod sockops;
mod steer;
mod veth;
mod veth_in;
