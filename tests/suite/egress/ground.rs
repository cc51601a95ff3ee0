//! Where attacks are fought out: an attacker's pod, those it may reach, and those it may not.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use steer_tests::{
    lab::{HostSpec, Lab, Network},
    pod::Pod,
    server::{
        dns::{self, Name},
        names,
    },
    topology::OUTSIDE,
};

use crate::player::{Player, serve};

/// The pod that a policy holds.
pub(crate) const ATTACKER: &str = "attacker";
/// A pod whose policy is open.
pub(crate) const OPEN: &str = "open";
/// The cluster's resolver.
pub(crate) const DNS: &str = "kube-dns";
/// A trusted resolver that answers as the question's name says.
pub(crate) const SCRIPTED: &str = "scripted";
/// A resolver that may be reached, and is not trusted.
pub(crate) const ROGUE: &str = "rogue";
/// A host that the registry names, and that serves another name as well.
pub(crate) const GOOD: &str = "good.example";
/// Where it is.
pub(crate) const GOOD_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Where it is, in IPv6.
pub(crate) const GOOD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x600d, 0, 0, 0, 0, 0x10);
/// A name below it whose addresses are known from answers alone.
pub(crate) const RACED: &str = "raced.good.example";
/// Where that is.
pub(crate) const RACED_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 60);

/// The pods and their numbers.
const PODS: [(&str, u8); 5] = [
    (DNS, 2),
    (SCRIPTED, 3),
    (ATTACKER, 20),
    (OPEN, 40),
    (ROGUE, 50),
];

/// Networks whose every address is outside.
const OUTSIDE_NETWORKS: [&str; 5] = [
    "198.18.0.0/15",
    "203.0.113.0/24",
    "169.254.169.254/32",
    "2001:db8:bad::/48",
    "2001:db8:600d::/48",
];

/// What has arrived outside, by address: each packet in a few words.
pub(crate) type Seen = BTreeMap<String, Vec<String>>;

/// The lab, and its players.
pub(crate) struct Ground {
    pub(crate) attacker: Player,
    pub(crate) accomplice: Player,
    pub(crate) caller: Player,
    witness: Player,
    // After the players, whose processes it ends.
    pub(crate) lab: Lab,
}

/// What a player says of one variant of an attempt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) label: String,
    /// Whether an answer came; none if none was expected.
    pub(crate) answered: Option<bool>,
    /// The error, if there was one.
    #[serde(rename = "said")]
    pub(crate) words: String,
}

#[derive(Deserialize)]
struct Played {
    #[serde(default)]
    said: Vec<Said>,
    broken: Option<String>,
}

impl Ground {
    /// Raises it, without a guard.
    pub(crate) fn raise(purpose: &str) -> Result<Self> {
        let outside: [IpAddr; 2] = [
            Ipv4Addr::new(192, 0, 2, 10).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10).into(),
        ];
        let lab = Lab::builder(&Lab::fresh_name(purpose))
            .nameserver(Ipv4Addr::new(10, 10, 0, 2).into())
            .hosts(PODS.map(|(name, number)| HostSpec::pod(name, addresses(number))))
            .host(HostSpec::outside(OUTSIDE, outside))
            .build()?;
        ensure_sealed(&lab)?;
        people(&lab)?;
        let mut witness = Player::start(lab.pod(OUTSIDE)?, "witness")?;
        let ready: String = witness.hear()?;
        ensure!(ready == "ready", "the witness says {ready}");
        Ok(Self {
            attacker: Player::start(lab.pod(ATTACKER)?, "attacker")?,
            accomplice: Player::start(lab.pod(OPEN)?, "attacker")?,
            caller: Player::start(lab.pod(OUTSIDE)?, "attacker")?,
            witness,
            lab,
        })
    }

    /// What has arrived outside since it was last forgotten.
    pub(crate) fn seen(&mut self) -> Result<Seen> {
        self.witness.tell(&json!("seen"))
    }

    /// Forgets what has arrived outside.
    pub(crate) fn forget_seen(&mut self) -> Result<()> {
        self.witness.tell::<Seen>(&json!("forget")).map(drop)
    }
}

/// Has a player play; what broke is an error.
pub(crate) fn play(
    player: &mut Player,
    what: &str,
    number: usize,
    before: bool,
    args: &Value,
) -> Result<Vec<Said>> {
    let told = json!({
        "play": what, "number": number, "before": before, "args": args, "lab": addresses_told(),
    });
    let played: Played = player.tell(&told).with_context(|| format!("play {what}"))?;
    match played.broken {
        Some(broken) => Err(anyhow::anyhow!("{what} broke: {broken}")),
        None => Ok(played.said),
    }
}

/// The addresses of a pod, by its number.
pub(crate) fn addresses(number: u8) -> [IpAddr; 2] {
    [
        Ipv4Addr::new(10, 10, 0, number).into(),
        Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, hexadecimal(number)).into(),
    ]
}

/// The IPv4 address of a pod.
pub(crate) fn address_of(name: &str) -> Result<IpAddr> {
    let number = PODS.iter().find(|(pod, _)| *pod == name);
    let (_, number) = number.context("a pod of the ground")?;
    Ok(addresses(*number)[0])
}

/// The number whose hexadecimal digits are the decimal ones: 10.10.0.20 is also `fd00:10::20`.
fn hexadecimal(number: u8) -> u16 {
    let number = u16::from(number);
    number / 10 * 16 + number % 10
}

fn addresses_told() -> Value {
    let [me4, me6] = addresses(20);
    let [open4, open6] = addresses(40);
    json!({
        "me4": me4, "me6": me6, "open4": open4, "open6": open6,
        "good4": GOOD_V4, "good6": GOOD_V6,
        "scripted4": addresses(3)[0], "dns4": addresses(2)[0], "rogue4": addresses(50)[0],
    })
}

/// Starts the servers.
fn people(lab: &Lab) -> Result<()> {
    let outside = lab.pod(OUTSIDE)?;
    for network in OUTSIDE_NETWORKS {
        outside.run("ip", &["route", "add", "local", network, "dev", "lo"])?;
    }
    outside.in_network(|| {
        // Data in a SYN is taken without a cookie.
        Ok(std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "519")?)
    })?;
    lab.node()?.in_network(|| {
        // A careless node: it hands on what says itself where it wants to go.
        for setting in [
            "ipv4/conf/all/accept_source_route",
            "ipv6/conf/all/accept_source_route",
        ] {
            std::fs::write(format!("/proc/sys/net/{setting}"), "1")?;
        }
        Ok(())
    })?;
    let name = |name: &str, addresses: &[IpAddr]| Name {
        name: name.to_owned(),
        addresses: addresses.to_vec(),
    };
    let known = [
        name(GOOD, &[GOOD_V4.into(), GOOD_V6.into()]),
        name(RACED, &[RACED_V4.into()]),
        name("bad.example", &[Ipv4Addr::new(198, 18, 255, 1).into()]),
    ];
    dns::start(lab.pod(DNS)?, &Network::default().domain, &known)?;
    serve(lab.pod(SCRIPTED)?, true)?;
    serve(lab.pod(ROGUE)?, true)?;
    serve(lab.pod(OPEN)?, false)?;
    serve(lab.node()?, false)?;
    serve(outside, true)?;
    names::start(outside, &[GOOD, "other.example"], &[80, 443])
}

/// Nothing of a lab may lead to a network of its host: every interface is a loopback, or one end of a
/// pair whose other end is in the lab as well.
fn ensure_sealed(lab: &Lab) -> Result<()> {
    let at_node = interfaces(lab.node()?)?;
    for host in lab.hosts().iter().skip(1) {
        for interface in interfaces(host)? {
            let peer = at_node.iter().find(|end| end.index == interface.peer);
            let joined = peer.is_some_and(|end| end.peer == interface.index);
            ensure!(joined, "{} has the interface {interface:?}", host.name());
        }
    }
    let pods = lab.hosts().len() - 1;
    ensure!(at_node.len() == pods, "the node has {at_node:?}");
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Interface {
    #[serde(rename = "ifindex")]
    index: u32,
    #[serde(rename = "link_index", default)]
    peer: u32,
    #[serde(rename = "ifname")]
    name: String,
}

fn interfaces(host: &Pod) -> Result<Vec<Interface>> {
    let text = host.run("ip", &["-j", "link"])?;
    let mut found: Vec<Interface> = serde_json::from_str(&text).context("understand ip")?;
    found.retain(|interface| interface.name != "lo");
    Ok(found)
}
