//! Verdicts of single validators.

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use steer::{
    finding::Severity,
    source::{
        istio::{
            ClientTls, ConnectionPool, ListenerPort, LocalityLb, OutlierDetection, ZoneAwareLb,
        },
        subnet::Subnet,
        validate::{
            Checks, client_tls, connection_pool, locality, names, outlier_detection, server_port,
        },
    },
};

use crate::table::{Case, Outcome, Table, texts};

pub(crate) fn judge(_: &Table, case: &Case) -> Result<Outcome> {
    let test = case["test"].as_str().context("test")?;
    let input = &case["input"];
    let Some(checks) = run(test, input)? else {
        return Ok(Outcome::Unsupported(format!(
            "steer has no counterpart of {test}"
        )));
    };
    let has = |severity| {
        checks
            .problems
            .iter()
            .any(|found| found.severity == severity)
    };
    let (is_valid, warns) = (!has(Severity::Error), has(Severity::Warning));
    let want = &case["expect"];
    let wants_valid = want["valid"].as_bool().context("expect.valid")?;
    let wants_warning = want["warning"].as_bool().filter(|_| wants_valid);
    if is_valid == wants_valid && wants_warning.is_none_or(|wanted| wanted == warns) {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed {
        got: json!({"valid": is_valid, "warning": warns, "problems": format!("{checks:?}")}),
        want: want.clone(),
    })
}

/// What the counterpart of an upstream test says; `None` if there is none.
fn run(test: &str, input: &Value) -> Result<Option<Checks>> {
    let text = |field: &str| input[field].as_str().unwrap_or_default();
    let verdict = match test {
        "TestValidateFQDN" => names::fqdn(text("fqdn")),
        "TestValidateWildcardDomain" => names::wildcard_domain(text("in")),
        "TestValidateWildcardDomainForVirtualServiceBoundToGateway" => {
            names::gateway_domain(text("in"), input["sni"] == json!(true))
        }
        "TestValidateHTTPHeaderName" | "TestStrictValidateHTTPHeaderName" => {
            names::header_name(text("name"))
        }
        "TestValidateHTTPHeaderValue" => names::header_value(text("input")),
        "TestValidateHTTPStatus" => names::http_status(input["in"].as_i64().context("in")?),
        "TestValidatePortName" => names::port_name(text("name")),
        "TestValidationIPAddress" => address(text("addr")),
        "TestValidationIPSubnet" => Subnet::parse(text("addr"))
            .map(|_| ())
            .ok_or_else(|| "is no subnet".to_owned()),
        _ => return parts(test, input),
    };
    let mut checks = Checks::default();
    if let Err(message) = verdict {
        checks.error("", message, "");
    }
    Ok(Some(checks))
}

fn address(text: &str) -> names::Verdict {
    let parsed: Result<std::net::IpAddr, _> = text.parse();
    parsed.map(|_| ()).map_err(|error| error.to_string())
}

fn parts(test: &str, input: &Value) -> Result<Option<Checks>> {
    let mut checks = Checks::default();
    let outlier: Option<OutlierDetection> = read(&input["outlier"])?;
    match test {
        "Test_validateExportTo" => {
            if input["isServiceEntry"] == json!(true) {
                return Ok(None);
            }
            let values: Vec<String> = read(&input["exportTo"])?.unwrap_or_default();
            let namespace = input["namespace"].as_str().unwrap_or_default();
            let own_only = input["isDestinationRuleWithSelector"] == json!(true);
            checks.export_to(&values, namespace, own_only);
        }
        "TestValidateTLS" => {
            let tls: ClientTls = read(&input["tls"])?.unwrap_or_default();
            client_tls(&mut checks, "tls", &tls);
        }
        "TestValidateServerPort" => {
            let port: ListenerPort = read(&input["in"])?.unwrap_or_default();
            server_port(&mut checks, "port", &port, input["bind"].as_str());
        }
        "TestValidateLocalities" => {
            locality::localities(&mut checks, "localities", &texts(&input["localities"]));
        }
        "TestValidateLocalityLbSetting" => {
            if let Some(setting) = read::<LocalityLb>(&input["in"])? {
                locality::by_locality(&mut checks, "in", &setting, outlier.as_ref());
            }
        }
        "TestValidateZoneAwareLbSetting" => {
            if let Some(setting) = read::<ZoneAwareLb>(&input["in"])? {
                locality::by_zone(&mut checks, "in", &setting, outlier.as_ref());
            }
        }
        "TestValidateMeshConfigDefaultTrafficPolicy" => {
            let policy = &input["dtp"];
            if let Some(pool) = read::<ConnectionPool>(&policy["connectionPool"])? {
                connection_pool(&mut checks, "connectionPool", &pool);
            }
            if let Some(outlier) = read::<OutlierDetection>(&policy["outlierDetection"])? {
                outlier_detection(&mut checks, "outlierDetection", &outlier);
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(checks))
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<Option<T>> {
    Ok(serde_json::from_value(value.clone())?)
}
