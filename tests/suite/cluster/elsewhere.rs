//! The agent on an API server that somebody else runs: `STEER_KUBECONFIG` names it, and without that the
//! tests' own stands for it. Everything that is written there is in one namespace, which goes in the end.

use std::{collections::BTreeMap, env, net::SocketAddr, process};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    agent::Agent,
    client::{Storm, tally},
    harness::test,
    lab::Lab,
    server::{api::ApiServer, elsewhere::Elsewhere},
    topology,
};

use crate::stage::{agent, eventually};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("elsewhere::writes_are_followed", followed),
        test("elsewhere::rules_say_how_far_they_are_enforced", said),
    ]
}

/// Names a kubeconfig, and a context of it.
const KUBECONFIG: &str = "STEER_KUBECONFIG";
const CONTEXT: &str = "STEER_CONTEXT";
/// Where the catalog is dialled on a server that gives services no addresses.
const GIVEN: &str = "10.200.9.9";

/// A lab with an agent, and what it is told elsewhere. The agent goes first.
struct Meeting {
    agent: Option<Agent>,
    server: Elsewhere,
    _own: Option<ApiServer>,
    namespace: String,
    catalog: SocketAddr,
    lab: Lab,
}

impl Meeting {
    fn raise(purpose: &str) -> Result<Self> {
        let lab = topology::bookstore_for_storms(&Lab::fresh_name(purpose))?;
        lab.unconfigure("cluster.yaml")?;
        let own = env::var_os(KUBECONFIG).is_none();
        let own = own.then(ApiServer::start_here).transpose()?;
        let kubeconfig = match &own {
            Some(own) => {
                own.install_istio("v1");
                own.kubeconfig(lab.dirs().run())?
            }
            None => env::var_os(KUBECONFIG).unwrap_or_default().into(),
        };
        let namespace = format!("steer-{purpose}-{}", process::id());
        let context = env::var(CONTEXT).ok();
        let node = lab.node()?;
        let server = Elsewhere::reach(
            &kubeconfig,
            context.as_deref(),
            &namespace,
            node,
            lab.dirs().run(),
        )?;
        let mut meeting = Self {
            agent: None,
            server,
            _own: own,
            namespace,
            catalog: topology::catalog(),
            lab,
        };
        meeting.fill()?;
        let arguments = ["--feedback", "--node-name", "steer-test"];
        let kubeconfig = meeting.server.kubeconfig();
        meeting.agent = Some(agent(&meeting.lab, kubeconfig, &arguments)?);
        Ok(meeting)
    }

    /// The catalog, with pods that nobody starts: those of the lab answer for them.
    fn fill(&mut self) -> Result<()> {
        let namespace = &self.namespace;
        let mut endpoints = Vec::new();
        for version in ["v1", "v2"] {
            let address = self.lab.pod(&format!("catalog-{version}"))?.v4()?;
            self.server.apply(&format!(
                "apiVersion: v1\nkind: Pod\n\
                 metadata: {{name: catalog-{version}, namespace: {namespace}, labels: {{version: {version}}}}}\n\
                 spec:\n  schedulerName: nobody\n  containers: [{{name: catalog, image: catalog}}]\n\
                 status: {{podIP: {address}, podIPs: [{{ip: {address}}}]}}\n"
            ))?;
            endpoints.push(format!(
                "- addresses: [{address}]\n  conditions: {{ready: true}}\n  \
                 targetRef: {{kind: Pod, namespace: {namespace}, name: catalog-{version}}}\n"
            ));
        }
        self.server.apply(&format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata:\n  name: catalog\n  namespace: {namespace}\n  \
             labels: {{kubernetes.io/service-name: catalog}}\n\
             addressType: IPv4\nports: [{{name: http, port: 3000, protocol: TCP}}]\nendpoints:\n{}",
            endpoints.concat()
        ))?;
        self.service("")?;
        let mut address = self.address()?;
        if address.is_none() {
            self.service(GIVEN)?;
            address = self.address()?;
        }
        let address = address.context("the service has no address")?;
        self.catalog = SocketAddr::new(address.parse()?, 80);
        self.server.apply(&format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
             metadata: {{name: catalog, namespace: {namespace}}}\nspec:\n  host: catalog\n  subsets:\n  \
             - {{name: v1, labels: {{version: v1}}}}\n  - {{name: v2, labels: {{version: v2}}}}\n"
        ))?;
        self.split([90, 10])
    }

    fn service(&self, address: &str) -> Result<()> {
        let namespace = &self.namespace;
        let address = match address {
            "" => String::new(),
            address => format!("  clusterIP: {address}\n"),
        };
        self.server.apply(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: catalog, namespace: {namespace}}}\n\
             spec:\n{address}  ports: [{{name: http, port: 80, targetPort: 3000, protocol: TCP}}]\n"
        ))
    }

    fn address(&self) -> Result<Option<String>> {
        let service = self.server.object("Service", &self.namespace, "catalog")?;
        let service = service.context("the service is gone")?;
        Ok(service["spec"]["clusterIP"].as_str().map(str::to_owned))
    }

    fn split(&self, weights: [u32; 2]) -> Result<()> {
        let ([v1, v2], namespace) = (weights, &self.namespace);
        self.server.apply(&format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: catalog, namespace: {namespace}}}\n\
             spec:\n  hosts: [catalog]\n  http:\n  - route:\n    \
             - {{destination: {{host: catalog, subset: v1}}, weight: {v1}}}\n    \
             - {{destination: {{host: catalog, subset: v2}}, weight: {v2}}}\n"
        ))
    }

    fn await_split(&self, weights: [u64; 2]) -> Result<()> {
        let wanted = BTreeMap::from([("catalog-v1", weights[0]), ("catalog-v2", weights[1])]);
        eventually(&format!("{weights:?}"), || {
            let storm = Storm::new(self.catalog, weights.iter().sum());
            let attempts = storm.run(self.lab.pod("client")?)?;
            let found = tally(&attempts);
            Ok(if found == wanted {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            })
        })
    }
}

fn followed() -> Result<()> {
    let mut meeting = Meeting::raise("followed")?;
    meeting.await_split([90, 10])?;
    meeting.split([50, 50])?;
    meeting.await_split([50, 50])?;
    meeting
        .server
        .delete("VirtualService", &meeting.namespace, "catalog")?;
    meeting.await_split([1, 1])?;
    let code = meeting.agent.take().context("an agent")?.stop()?;
    ensure!(code == 0, "the agent ends with {code}");
    Ok(())
}

/// The condition of a rule, and an Event where a part is not enforced.
fn said() -> Result<()> {
    let meeting = Meeting::raise("said-elsewhere")?;
    let condition = || -> Result<String> {
        let rule = meeting
            .server
            .object("VirtualService", &meeting.namespace, "catalog")?;
        let rule = rule.unwrap_or_default();
        let all = rule["status"]["conditions"].as_array().cloned();
        let own = all.unwrap_or_default().into_iter();
        let mut own = own.filter(|one| one["type"] == "SteerEnforced");
        let reason = own.next().unwrap_or_default()["reason"].clone();
        Ok(reason.as_str().unwrap_or_default().to_owned())
    };
    let is = |wanted: &str| {
        eventually(wanted, || {
            let found = condition()?;
            Ok(if found == wanted { Ok(()) } else { Err(found) })
        })
    };
    is("Enforced")?;
    let namespace = &meeting.namespace;
    meeting.server.apply(&format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: catalog, namespace: {namespace}}}\n\
         spec:\n  hosts: [catalog]\n  http:\n  - retries: {{attempts: 0, retryIgnorePreviousHosts: false}}\n    \
           route: [{{destination: {{host: catalog, subset: v1}}}}]\n"
    ))?;
    is("PartlyEnforced")?;
    eventually("an Event of the rule", || {
        let events = meeting.server.objects("Event", namespace)?;
        let told = events
            .iter()
            .any(|event| event["regarding"]["name"] == "catalog");
        Ok(if told { Ok(()) } else { Err(String::new()) })
    })
}
