//! Who is asking: the agent finds pods by their network namespaces, and is not deceived by what a
//! pod can make.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::IpAddr,
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use steer::{
    desired::model::PodRef,
    kernel::netns as cookies,
    node::discover::{Scan, Scanner},
};
use steer_tests::{
    lab::{HostSpec, Lab},
    link, netns,
    pod::Pod,
};

const VICTIM: &str = "victim";
const THIEF: &str = "thief";
/// How long a process may take to get a namespace of its own.
const UNSHARED_MAX: Duration = Duration::from_secs(10);

/// Each pod is found once, with its addresses and its interface on the node; machines outside the
/// watched cgroup are not, and a scan with nothing new enters nothing.
pub(crate) fn pods_are_found_by_their_namespaces() -> Result<()> {
    let (lab, pods) = two_pods("sources-found")?;
    let [first, second] = scans(&lab, &pods, || Ok(()))?;
    ensure!(
        first.entered == 2,
        "{} namespaces were entered",
        first.entered
    );
    ensure!(second.entered == 0, "{} were entered again", second.entered);
    for scan in [&first, &second] {
        expect_both(&lab, scan)?;
        ensure!(scan.findings.is_empty(), "findings: {:?}", scan.findings);
    }
    Ok(())
}

/// A namespace that a pod makes, with the address of another and an interface numbered like the
/// other's, is nobody.
pub(crate) fn a_namespace_made_by_a_pod_is_nobody() -> Result<()> {
    let (lab, pods) = two_pods("sources-nested")?;
    let (victim, thief) = (lab.pod(VICTIM)?, lab.pod(THIEF)?);
    let nested = unshared(thief)?;
    let net = nested.as_fd();
    let spoof = netns::netlink(thief.net(), |handle| async move {
        link::add_veth(&handle, "spoof", "eth0", net).await
    })?;
    // Without this the test would pass for an agent that trusts numbers.
    let real = lab
        .node()?
        .in_network(|| link::index(&format!("veth-{VICTIM}")))?;
    ensure!(
        spoof == real,
        "the spoof has the number {spoof}, the node's interface {real}"
    );
    claim(net, victim.v4()?)?;
    let [first, second] = scans(&lab, &pods, || Ok(()))?;
    for scan in [&first, &second] {
        expect_both(&lab, scan)?;
        ensure!(scan.namespaces.len() == 2, "{:?}", scan.namespaces);
        ensure!(scan.findings.is_empty(), "findings: {:?}", scan.findings);
    }
    ensure!(first.entered == 2, "the nested namespace was entered");
    Ok(())
}

/// A pod that takes the address of another, and even came first, stays itself; the finding names it.
pub(crate) fn an_address_has_one_owner() -> Result<()> {
    let (lab, pods) = two_pods("sources-taken")?;
    claim(lab.pod(THIEF)?.net(), lab.pod(VICTIM)?.v4()?)?;
    let [first, second] = scans(&lab, &pods, || Ok(()))?;
    for scan in [&first, &second] {
        expect_both(&lab, scan)?;
        let codes: Vec<&str> = scan.findings.iter().map(|finding| finding.code).collect();
        ensure!(codes == ["STR0601"], "findings: {:?}", scan.findings);
    }
    Ok(())
}

/// A pod that ends is forgotten by the next scan.
pub(crate) fn a_pod_that_ends_is_forgotten() -> Result<()> {
    let (lab, pods) = two_pods("sources-ended")?;
    let [first, second] = scans(&lab, &pods, || lab.pod(THIEF)?.cgroup().kill())?;
    expect_both(&lab, &first)?;
    let left: Vec<&str> = second
        .workloads
        .keys()
        .map(|pod| pod.name.as_str())
        .collect();
    ensure!(left == [VICTIM], "left: {left:?}");
    Ok(())
}

fn two_pods(purpose: &str) -> Result<(Lab, BTreeMap<IpAddr, PodRef>)> {
    let hosts = [(THIEF, 21), (VICTIM, 22)].map(|(name, number): (_, u8)| {
        let v6 = format!("fd00:10::{number}").parse::<IpAddr>();
        Ok::<_, anyhow::Error>(HostSpec::pod(name, [[10, 10, 0, number].into(), v6?]))
    });
    let outside = HostSpec::outside("outside", [[192, 0, 2, 10].into()]);
    let mut specs = hosts.into_iter().collect::<Result<Vec<_>>>()?;
    specs.push(outside);
    let lab = Lab::builder(&Lab::fresh_name(purpose))
        .hosts(specs)
        .build()?;
    // The machine outside as well: it hangs on the node, but is below no cgroup that is watched.
    let pods = lab.hosts().iter().skip(1).flat_map(|host| {
        let addresses = host.record().addresses.iter();
        addresses.map(|&address| (address, reference(host)))
    });
    let pods = pods.collect();
    Ok((lab, pods))
}

fn reference(host: &Pod) -> PodRef {
    PodRef {
        namespace: host.record().namespace.clone(),
        name: host.name().to_owned(),
    }
}

/// Two scans as the agent makes them, in the node's namespace, and something between them.
fn scans(
    lab: &Lab,
    pods: &BTreeMap<IpAddr, PodRef>,
    between: impl FnOnce() -> Result<()> + Send,
) -> Result<[Scan; 2]> {
    lab.node()?.in_network(|| {
        let mut scanner = Scanner::new(lab.dirs().cluster_cgroup().path())?;
        let first = scanner.scan(pods)?;
        between()?;
        Ok([first, scanner.scan(pods)?])
    })
}

/// Both pods are what they are: by cookie, by interface, by address.
fn expect_both(lab: &Lab, scan: &Scan) -> Result<()> {
    for name in [VICTIM, THIEF] {
        let pod = lab.pod(name)?;
        let found = scan.workloads.get(&reference(pod));
        let found = found.with_context(|| format!("{name} was not found"))?;
        let cookie = pod.in_network(|| {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
            Ok(cookies::cookie(&socket)?)
        })?;
        let index = lab
            .node()?
            .in_network(|| link::index(&format!("veth-{name}")))?;
        ensure!(
            found.cookie == cookie,
            "{name}: cookie {} not {cookie}",
            found.cookie
        );
        ensure!(
            found.host_index == index,
            "{name}: {} not {index}",
            found.host_index
        );
        for address in &pod.record().addresses {
            ensure!(
                found.addresses.contains(address),
                "{name}: {:?}",
                found.addresses
            );
        }
    }
    ensure!(scan.workloads.len() == 2, "{:?}", scan.workloads);
    Ok(())
}

/// Puts an address on the interface `eth0` of a namespace.
fn claim(net: std::os::fd::BorrowedFd<'_>, address: IpAddr) -> Result<()> {
    netns::netlink(net, |handle| async move {
        let eth = link::index("eth0")?;
        link::set_up(&handle, eth).await?;
        link::add_address(&handle, eth, address).await
    })
}

/// A network namespace made by a process of `pod`.
fn unshared(pod: &Pod) -> Result<File> {
    let mut command = pod.command("unshare")?;
    command.args(["--net", "sleep", "infinity"]);
    let pid = pod.start("nested", command)?;
    let path = |pid: i32| format!("/proc/{pid}/ns/net");
    let own = fs::read_link(path(pod.record().pause))?;
    let started = Instant::now();
    let nested = path(i32::try_from(pid)?);
    while fs::read_link(&nested)? == own || is_here(&nested)? {
        ensure!(
            started.elapsed() < UNSHARED_MAX,
            "the process has no namespace of its own"
        );
        thread::sleep(Duration::from_millis(1));
    }
    File::open(&nested).with_context(|| format!("open {nested}"))
}

/// Between fork and exec the process is still where this one is.
fn is_here(path: &str) -> Result<bool> {
    Ok(fs::read_link(path)? == fs::read_link("/proc/self/ns/net")?)
}
