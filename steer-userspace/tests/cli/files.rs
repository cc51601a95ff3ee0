//! `check` and `plan` of files.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::stage::Stage;

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec:
  clusterIP: 10.200.1.92
  ports: [{name: http, port: 80, targetPort: 3000}]
  selector: {app: catalog}
";

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: catalog-v1, namespace: shop, labels: {app: catalog}}
status:
  phase: Running
  conditions: [{type: Ready, status: 'True'}]
  podIP: 10.10.0.12
";

/// A VirtualService that leads to a host.
fn rule(host: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\n\
         kind: VirtualService\n\
         metadata: {{name: catalog, namespace: shop}}\n\
         spec: {{hosts: [catalog], http: [{{route: [{{destination: {{host: {host}}}}}]}}]}}\n"
    )
}

const UNREAD: &str = "\
apiVersion: networking.istio.io/v1
kind: EnvoyFilter
metadata: {name: gate, namespace: shop}
spec: {}
";

#[test]
fn paths_that_are_not_there_are_2() -> Result<()> {
    let stage = Stage::new(&[])?;
    for words in ["check -f nothing.yaml", "plan -f nothing.yaml"] {
        let ended = stage.run(words)?;
        assert_eq!(ended.code, 2, "steer {words}");
        assert!(
            ended
                .err
                .starts_with("steer: reading nothing.yaml: No such file"),
            "{}",
            ended.err
        );
    }
    Ok(())
}

#[test]
fn check_without_findings() -> Result<()> {
    let stage = Stage::new(&[SERVICE, POD])?;
    let ended = stage.run("check -f a.yaml")?;
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    assert_eq!(
        ended.err,
        "\u{2714} No validation issues found when analyzing a.yaml.\n"
    );
    let json = stage.run("check -f a.yaml -o json")?;
    assert_eq!((json.code, json.out.as_str()), (0, "[]\n"));
    Ok(())
}

/// A warning fails only if it is asked to; an error always does.
#[test]
fn check_fails_at_its_threshold() -> Result<()> {
    let warned = Stage::new(&[SERVICE, POD, &rule("catalog"), UNREAD])?;
    let ended = warned.run("check -f .")?;
    assert_eq!(ended.code, 0, "{}", ended.out);
    let expected = "Warning [STR0201] (EnvoyFilter shop/gate ./a.yaml:";
    assert!(ended.out.starts_with(expected), "{}", ended.out);
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    for threshold in ["warning", "info"] {
        let words = format!("check -f . --failure-threshold {threshold}");
        assert_eq!(warned.run(&words)?.code, 79);
    }
    let refused = Stage::new(&["kind: [\n"])?;
    let ended = refused.run("check -f a.yaml")?;
    assert_eq!(ended.code, 79);
    assert!(
        ended.out.starts_with("Error [STR0101] (a.yaml:"),
        "{}",
        ended.out
    );
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    let wide = warned.run("check -f . -o wide")?;
    let help = wide.out.lines().nth(1).unwrap_or_default();
    assert!(help.starts_with("    "), "what to do: {}", wide.out);
    Ok(())
}

#[test]
fn findings_are_data_too() -> Result<()> {
    let stage = Stage::new(&[SERVICE, POD, &rule("nobody")])?;
    let ended = stage.run("check -f a.yaml -o json")?;
    let findings: Vec<Value> = serde_json::from_str(&ended.out)?;
    ensure!(findings.len() == 1, "{}", ended.out);
    assert_eq!(findings[0]["code"], "IST0101");
    assert_eq!(findings[0]["object"]["name"], "catalog");
    assert_eq!(findings[0]["position"]["file"], "a.yaml");
    let yaml = stage.run("check -f a.yaml -o yaml")?;
    assert_eq!(yaml.code, ended.code);
    assert!(yaml.out.contains("code: IST0101"), "{}", yaml.out);
    Ok(())
}

#[test]
fn plan_needs_no_kernel() -> Result<()> {
    let stage = Stage::new(&[SERVICE, POD, &rule("catalog")])?;
    let ended = stage.run("plan -f a.yaml -o json")?;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let planned: Value = serde_json::from_str(&ended.out)?;
    assert_eq!(planned["maps"]["SERVICES"], 1);
    assert_eq!(planned["findings"], Value::Array(Vec::new()));
    let route = &planned["routes"][0];
    assert_eq!(route["address"], "10.200.1.92:80");
    assert_eq!(route["virtual_service"], "catalog.shop");
    assert_eq!(route["destinations"][0]["endpoints"][0], "10.10.0.12:3000");
    Ok(())
}

/// What is refused is a plan of nothing, also for programs that read it.
#[test]
fn plan_of_what_is_refused() -> Result<()> {
    let stage = Stage::new(&["kind: [\n"])?;
    let ended = stage.run("plan -f a.yaml -o json")?;
    assert_eq!(ended.code, 79);
    let planned: Value = serde_json::from_str(&ended.out)?;
    assert_eq!(planned["findings"][0]["code"], "STR0101");
    assert_eq!(planned["maps"], Value::Null);
    let ended = stage.run("plan -f a.yaml")?;
    assert_eq!(ended.code, 79);
    assert!(
        ended.out.starts_with("FINDINGS\n  Error [STR0101]"),
        "{}",
        ended.out
    );
    Ok(())
}
