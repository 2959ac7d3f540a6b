//! What Prometheus, Grafana and a person are told of a cluster.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use cumulet::state::StateFolder;
use cumulet::state::metrics::Metric;
use cumulet::state::table::{By, Filter, Table};
use image::ImageFormat;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::http;
use crate::support::{encoded, picture, until};

/// The names of metrics in a text: words that begin with `cumulet_`.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c)).filter(|word| word.starts_with("cumulet_"));
    words.map(str::to_owned).collect()
}

/// A page of metrics after requests were answered.
fn page(cluster: &Cluster) -> String {
    until("the functions are defined", || {
        cluster.path().join("Functions.xml").exists().then_some(())
    });
    let add = ["function", "trigger", "add", "new-year", "--function", "blur"];
    let added = cluster.cumulet(&[&add[..], &["--schedule", "0 0 1 1 *"]].concat());
    assert!(added.status.success(), "{added:?}");
    let body = encoded(&picture(64, 48), ImageFormat::Png);
    for _ in 0..3 {
        assert_eq!(cluster.send("/blurimage", &body).unwrap().status, 200);
    }
    until("the figures of the requests, the reports and a decision are there", || {
        let text = http::send(cluster.admin(), "GET", "/metrics", b"").ok()?.text();
        let all = [
            "cumulet_vm_requests_total{vm=\"vm-1\"} 3",
            "cumulet_autoscaler_decision",
            "cumulet_speed_ratio{vm=\"vm-1\"}",
            "cumulet_foreign_requests{vm=\"vm-1\"} 0",
            "cumulet_function_running{function=\"blur\"} 0",
            "cumulet_trigger_events{trigger=\"new-year\",stage=\"dead\"} 0",
        ];
        all.iter().all(|wanted| text.contains(wanted)).then_some(text)
    })
}

#[test]
fn every_metric_of_the_dashboard_and_of_the_rules_is_exported() {
    let cluster = Cluster::start(1, &[]);
    let page = page(&cluster);
    // Samples, not only their announcements: a family without any shows nothing.
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let exported = names(&samples.collect::<Vec<_>>().join("\n"));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for file in ["grafana/cumulet.json", "prometheus/alerts.yml", "prometheus/alerts.test.yml"] {
        let asked = names(&std::fs::read_to_string(docs.join(file)).unwrap());
        assert!(asked.len() > 5, "{file} asks for {asked:?} only");
        // VMs of the type `local` have no credits and no limit; all else must be there.
        let not_here = ["cumulet_vm_cpu_credits", "cumulet_requests_cap"];
        let missing = asked.difference(&exported).filter(|name| !not_here.contains(&name.as_str()));
        let missing = missing.collect::<Vec<_>>();
        assert!(missing.is_empty(), "{file} asks for what is not exported: {missing:?}\n{page}");
    }
}

#[test]
fn the_dashboard_is_json_with_a_question_in_every_panel() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grafana/cumulet.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        let questions = panel["targets"].as_array().unwrap();
        assert!(!questions.is_empty(), "{panel}");
        for question in questions {
            assert!(!names(question["expr"].as_str().unwrap()).is_empty(), "{question}");
        }
    }
    assert!(panels.len() > 10);
}

/// `promtool` comes with Prometheus; `test.sh` installs it where it may.
#[test]
fn prometheus_finds_nothing_to_say_against_the_metrics() {
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    let cluster = Cluster::start(1, &[]);
    promtool.stdin.take().unwrap().write_all(page(&cluster).as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && text.is_empty(), "{text}");
}

/// What `cumulet metrics` says as JSON of a folder, which may be no cluster's.
#[track_caller]
fn metrics(folder: &Path, more: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cumulet"));
    let said = command.arg("--state").arg(folder).args(["metrics", "--json"]).args(more).output();
    let said = said.unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    serde_json::from_slice(&said.stdout).unwrap()
}

#[test]
fn metrics_of_a_running_a_stopped_and_a_copied_cluster_are_the_same() {
    let mut cluster = Cluster::start(1, &[]);
    page(&cluster);
    assert_eq!(cluster.send("/enhanceimage", b"no picture").unwrap().status, 415);
    let by_status = || metrics(&cluster.path(), &["--group-by", "status"]);
    let said = until("all four are in metrics.txt", || {
        let said = by_status();
        (said[0]["count"] == 3 && said[1]["count"] == 1).then_some(said)
    });
    assert_eq!((&said[0]["status"], &said[1]["status"]), (&json!("200"), &json!("415")));
    assert!(said[0]["wallP95"].as_f64().unwrap() >= said[0]["wallP50"].as_f64().unwrap());
    assert!(said[0]["cpuMean"].as_f64().unwrap() > 0.0);
    let wanted = ["--workload", "blur", "--vm", "vm-1", "--since", "1h", "--group-by", "vm"];
    assert_eq!(metrics(&cluster.path(), &wanted)[0]["count"], 3);
    assert_eq!(metrics(&cluster.path(), &["--since", "2100-01-01T00:00:00Z"]), json!([]));

    assert_eq!(cluster.stop(), Some(0));
    assert_eq!(metrics(&cluster.path(), &["--group-by", "status"]), said);
    let copy = tempfile::tempdir().unwrap();
    let text = cluster.path().join("metrics.txt");
    std::fs::copy(text, copy.path().join("metrics.txt")).unwrap();
    assert_eq!(metrics(copy.path(), &["--group-by", "status"]), said);
}

#[test]
fn who_is_killed_while_the_index_is_made_costs_nothing() {
    let place = tempfile::tempdir().unwrap();
    let folder = StateFolder::open(place.path()).unwrap();
    let line = "at=2026-11-22T09:00:00.000Z request=r workload=blur vm=vm-1 status=200 width=- \
                height=- input_bytes=1 output_bytes=1 queue_us=- cpu_us=5 wall_us=7 work=1 \
                attempts=1\n";
    let path = place.path().join("metrics.txt");
    for round in 1..=12 {
        let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        file.write_all(line.repeat(2000).as_bytes()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cumulet"))
            .arg("--state")
            .arg(place.path())
            .arg("metrics")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Anywhere: before it opened anything, in the middle, after it was done.
        std::thread::sleep(std::time::Duration::from_millis(round * 4));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let indexed = Table::read(&folder, &Filter::default(), Some(By::Vm)).unwrap();
    assert_eq!(indexed, Table::of_text(&folder, &Filter::default(), Some(By::Vm)).unwrap());
    assert_eq!(indexed.groups["vm-1"].count, 24_000);
}

#[test]
fn a_request_has_one_name_in_every_line_that_tells_of_it() {
    let cluster = Cluster::start(1, &[]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let body = encoded(&picture(64, 48), ImageFormat::Png);
    let mut stream = TcpStream::connect(cluster.address()).unwrap();
    let head = format!(
        "POST /blurimage HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\
         Traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.contains(&format!("x-request-id: {trace}\r\n")), "{answer}");
    let named = format!("request={trace} ");
    for file in ["metrics.txt", "log/access.log"] {
        until("its line is written", || {
            let text = std::fs::read_to_string(cluster.path().join(file)).ok()?;
            text.contains(&named).then_some(())
        });
    }
    let lines = cluster.state().tail::<Metric>(1 << 20).unwrap();
    assert!(lines.iter().any(|line| line.request == trace && line.vm.is_some()), "{lines:?}");
}

#[test]
fn an_alert_is_told_by_command_and_webhook_when_it_fires_and_when_it_is_over() {
    let place = tempfile::tempdir().unwrap();
    let (settings, told) = (place.path().join("cumulet.toml"), place.path().join("told"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = listener.local_addr().unwrap();
    let command = format!("cat >> {0}; echo >> {0}", told.display());
    let text = format!(
        "[[alert]]\nname = 'grown'\nwhen = 'vms_running > 1'\nfor = '200ms'\n\
         command = '{command}'\nwebhook = 'http://{webhook}/alerts'\n"
    );
    std::fs::write(&settings, text).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while !request.ends_with(b"}") {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&piece[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    });
    let more = ["--config", settings.to_str().unwrap(), "--set", "autoscaler.minimum=2"];
    let cluster = Cluster::start(2, &more);
    let request = server.join().unwrap();
    assert!(request.starts_with("POST /alerts HTTP/1.1\r\n"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["alert"], &body["state"]), (&json!("grown"), &json!("firing")));
    let said = cluster.cumulet(&["alerts", "--json"]);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said[0]["name"], &said[0]["state"]), (&json!("grown"), &json!("firing")));

    cluster.cumulet(&["autoscaler", "pause"]);
    cluster.cumulet(&["limits", "1", "2"]);
    cluster.cumulet(&["terminate", "vm-2"]);
    let lines = until("its end is told too", || {
        let text = std::fs::read_to_string(&told).ok()?;
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).ok());
        lines.collect::<Option<Vec<_>>>().filter(|lines| lines.len() == 2)
    });
    assert_eq!(lines[0]["state"], "firing");
    assert_eq!((&lines[1]["state"], &lines[1]["value"]), (&json!("resolved"), &json!(1.0)));
    let events = std::fs::read_to_string(cluster.path().join("events.log")).unwrap();
    assert_eq!(events.matches("event=alert").count(), 2, "{events}");
}
