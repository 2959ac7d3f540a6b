//! `cumulet load`: many requests from the command line, and a report.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{Usage, operate, print, roles, send};
use crate::client::load::arrivals::{Rate, Rhythm};
use crate::client::load::ask::{self, Plain};
use crate::client::load::bill::Bill;
use crate::client::load::mix::Mix;
use crate::client::load::plan::{Plan, Wanted};
use crate::client::load::sizes::Sizes;
use crate::client::load::trace::{self, COLUMNS, format_of};
use crate::client::load::{self, Load, Pace, Progress, Times, compare};
use crate::config::{self, Config};
use crate::workload::imaging::Format;

/// Many requests, and a report.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Wanting {
    /// Kinds of requests and how often each comes; `request` is what --request says.
    #[arg(long, value_name = "MIX", default_value = "blur=1,enhance=1,raytrace=1")]
    mix: Mix,
    /// Send at this rate, requests per second, whatever the answers do; FROM..TO is a ramp.
    #[arg(long, value_name = "R")]
    rate: Option<Rate>,
    /// How requests come at a rate: constant, poisson or burst:N.
    #[arg(long, value_name = "RHYTHM", default_value = "constant", requires = "rate")]
    arrivals: Rhythm,
    /// So many at once, each after the answer to the one before [default: 4]; with --rate or
    /// --replay, at most so many at once.
    #[arg(long, short, value_name = "C", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Send for so long [default: 10s, unless --requests or --replay is given].
    #[arg(long, short, value_name = "TIME", value_parser = config::time)]
    duration: Option<Duration>,
    /// Send so many.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Send what was recorded, when it was: a metrics.txt, or a CSV file as --list writes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "mix"])]
    replay: Option<PathBuf>,
    /// Replay so many times as fast.
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed, requires = "replay")]
    speed: f64,
    /// All draws come from this number: the same seed sends the same requests.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    inputs: Inputs,
    /// The server, instead of the balancer of the cluster on the state folder.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A request without an answer after this time is lost.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = config::time)]
    timeout: Duration,
    /// Print the requests and when they are due, as CSV, and send nothing.
    #[arg(long, conflicts_with_all = ["json", "output"])]
    list: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Write the report as JSON to a file, too.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What is sent. SIZES are a number, LOW..HIGH, uniform:LOW..HIGH, log-uniform:LOW..HIGH or
/// pareto:LOW..HIGH[:TAIL].
#[derive(Debug, Args)]
struct Inputs {
    /// Different inputs of each kind.
    #[arg(long, value_name = "N", default_value = "12",
          value_parser = clap::value_parser!(u32).range(1..))]
    distinct: u32,
    /// Sizes of pictures, in megapixels.
    #[arg(long, value_name = "SIZES", default_value = "log-uniform:0.05..1")]
    picture_size: Sizes,
    /// File formats of pictures, which take turns.
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', default_value = "jpeg,png,bmp",
          value_parser = format_of)]
    formats: Vec<Format>,
    /// Sizes of what is rendered, in megapixels.
    #[arg(long, value_name = "SIZES", default_value = "log-uniform:0.02..0.5")]
    render_size: Sizes,
    /// Shapes of scenes.
    #[arg(long, value_name = "SIZES", default_value = "log-uniform:2..60")]
    shapes: Sizes,
    /// Send these pictures instead of ones made up; a folder is all of its pictures.
    #[arg(long, value_name = "PATH")]
    pictures: Vec<PathBuf>,
    /// Send these scenes instead of ones made up; a folder is all of its scenes.
    #[arg(long, value_name = "PATH")]
    scenes: Vec<PathBuf>,
    /// The request of the mix's `request`, which may go to any web server; alone, it is the mix.
    #[arg(long, value_name = "METHOD PATH")]
    request: Option<String>,
    /// The body of --request.
    #[arg(long, value_name = "FILE", requires = "request")]
    body: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Instead {
    /// Compare two reports that were written as JSON.
    #[command(after_help = "Example: cumulet load compare before.json after.json")]
    Compare {
        /// The first report.
        a: PathBuf,
        /// The second report.
        b: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// For so long a load goes on that is told no end.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// So many requests are in flight at once in a load that is told no rate.
const DEFAULT_CONCURRENCY: u32 = 4;

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| speed.is_finite() && *speed > 0.0);
    speed.ok_or_else(|| "a number above 0 is needed; 2 is twice as fast".to_owned())
}

pub(super) fn load(config: &Config, wanting: &Wanting) -> anyhow::Result<()> {
    if let Some(Instead::Compare { a, b, json }) = &wanting.instead {
        return compared(a, b, *json);
    }
    let wanted = wanting.wanted()?;
    let plan = match &wanting.replay {
        None => Plan::drawn(&wanted)?,
        Some(file) => Plan::recorded(&wanted, &trace::read(file)?, wanting.speed)?,
    };
    let requests = wanting.requests.unwrap_or(u64::MAX);
    let pace = wanting.pace(&plan);
    let duration = wanting.until();
    if wanting.list {
        return list(&plan, &pace, wanting.seed, requests, duration);
    }
    let load = Load {
        address: match &wanting.url {
            Some(url) => address(url)?,
            None => send::address_in_force(config)?,
        },
        words: wanting.words(&wanted),
        plan,
        pace,
        requests: wanting.requests,
        duration,
        timeout: wanting.timeout,
        seed: wanting.seed,
    };
    let mut bill = match &wanting.url {
        Some(_) => None,
        None => Some(Bill::new(operate::folder(config)?, config.settings.instance_types.clone())),
    };
    let mut shown = Shown::default();
    let mut report = roles::run_light(|stop| {
        load::run(load, stop, |now| {
            shown.show(now);
            if let Some(bill) = &mut bill {
                bill.look(Instant::now());
            }
        })
    })?;
    shown.end();
    report.dollars = bill.and_then(|mut bill| {
        bill.look(Instant::now());
        bill.dollars()
    });
    let json = serde_json::to_string_pretty(&report)? + "\n";
    if let Some(file) = &wanting.output {
        std::fs::write(file, &json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    print(if wanting.json { json } else { report.text() }.as_str())?;
    if !report.is_good() {
        let (failed, lost) = (report.failed, report.lost);
        anyhow::bail!("of {} requests {failed} failed and {lost} were lost", report.sent);
    }
    Ok(())
}

fn compared(a: &Path, b: &Path, json: bool) -> anyhow::Result<()> {
    let (a, b) = (compare::read(a)?, compare::read(b)?);
    if json {
        return print(&format!("{:#}\n", compare::to_json(&a, &b)));
    }
    print(&compare::text(&a, &b))
}

/// Prints what would be sent, as a trace. A closed loop has no times: there they are all 0.
fn list(
    plan: &Plan,
    pace: &Pace,
    seed: u64,
    requests: u64,
    duration: Option<Duration>,
) -> anyhow::Result<()> {
    if requests == u64::MAX && matches!(pace, Pace::Closed { .. }) {
        let sentence = "--list needs --requests, --rate or --replay: how many a closed loop sends \
                        in a time depends on the answers";
        return Err(Usage(sentence.to_owned()).into());
    }
    let times: Box<dyn Iterator<Item = Duration>> = match pace {
        Pace::Closed { .. } => Box::new(std::iter::repeat(Duration::ZERO)),
        Pace::Open { times, .. } => times.due(seed),
    };
    let times = times.take_while(|at| duration.is_none_or(|duration| *at < duration));
    print(&format!("{}\n", COLUMNS.join(",")))?;
    for (number, at) in (0..requests).zip(times) {
        let Some(row) = plan.row(number, at) else { break };
        print(&format!("{row}\n"))?;
    }
    Ok(())
}

/// `host:port` of a URL.
fn address(url: &str) -> Result<String, Usage> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let host = rest.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let bare = !rest.is_empty() && !rest.contains(['/', ':', '?']);
    match host {
        Some((host, _)) if !host.is_empty() && !host.contains('/') => Ok(rest.to_owned()),
        _ if bare => Ok(format!("{rest}:80")),
        _ => Err(Usage(format!(
            "--url {url}: http://HOST:PORT is needed; there is no https and no path"
        ))),
    }
}

impl Wanting {
    fn wanted(&self) -> anyhow::Result<Wanted> {
        let inputs = &self.inputs;
        let body = match &inputs.body {
            Some(file) => {
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?
            }
            None => Vec::new(),
        };
        let request = inputs.request.as_deref().map(|text| Plain::parse(text, body));
        let plain = request.transpose().map_err(|error| Usage(format!("--request {error}")))?;
        Ok(Wanted {
            mix: self.mix.clone(),
            distinct: inputs.distinct,
            picture_sizes: inputs.picture_size,
            formats: inputs.formats.clone(),
            render_sizes: inputs.render_size,
            shapes: inputs.shapes,
            picture_files: ask::files(&inputs.pictures, true)?,
            scene_files: ask::files(&inputs.scenes, false)?,
            plain,
            seed: self.seed,
        })
    }

    fn until(&self) -> Option<Duration> {
        let told = self.requests.is_some() || self.replay.is_some();
        self.duration.or((!told).then_some(DEFAULT_DURATION))
    }

    fn pace(&self, plan: &Plan) -> Pace {
        let at_most = self.concurrency;
        if let Some(times) = plan.recorded_times() {
            return Pace::Open { times: Times::Recorded(times), at_most };
        }
        let Some(rate) = self.rate else {
            return Pace::Closed { concurrency: at_most.unwrap_or(DEFAULT_CONCURRENCY) };
        };
        // A ramp that ends after so many requests takes as long as its mean rate needs for them.
        let needed = self.requests.map(|requests| {
            Duration::try_from_secs_f64(requests as f64 / rate.mean()).unwrap_or(Duration::MAX)
        });
        let over = self.until().or(needed).unwrap_or(DEFAULT_DURATION);
        Pace::Open { times: Times::Rate(rate, self.arrivals, over), at_most }
    }

    /// The load in words.
    fn words(&self, wanted: &Wanted) -> String {
        let most = self.concurrency.map(|most| format!(", at most {most} at once"));
        let most = most.unwrap_or_default();
        if let Some(file) = &self.replay {
            return format!("replay of {} at {}x{most}", file.display(), self.speed);
        }
        let mix = &wanted.mix;
        match self.rate {
            Some(rate) => format!("{mix} at {rate} {}{most}", self.arrivals),
            None => {
                format!("{mix}, {} at once", self.concurrency.unwrap_or(DEFAULT_CONCURRENCY))
            }
        }
    }
}

/// How far it is, on stderr: one line that is written over on a terminal, else a line now and then.
struct Shown {
    terminal: bool,
    before: (Duration, u64),
}

impl Default for Shown {
    fn default() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), before: (Duration::ZERO, 0) }
    }
}

impl Shown {
    fn every(&self) -> Duration {
        if self.terminal { Duration::from_millis(200) } else { Duration::from_secs(5) }
    }

    fn show(&mut self, now: &Progress) {
        let (then, done) = self.before;
        let since = now.elapsed.saturating_sub(then);
        if since < self.every() {
            return;
        }
        let rate = (now.ok - done) as f64 / since.as_secs_f64().max(1e-9);
        self.before = (now.elapsed, now.ok);
        let (p50, p99) = now.latency;
        let line = format!(
            "{:>6.1} s  {} ok  {} bad  {rate:.1}/s  {} in flight  p50 {p50:.1} ms  p99 {p99:.1} ms",
            now.elapsed.as_secs_f64(),
            now.ok,
            now.bad,
            now.in_flight
        );
        // With stderr closed there is nobody to tell.
        let _told = if self.terminal {
            write!(std::io::stderr(), "\r{line}\x1b[K")
        } else {
            writeln!(std::io::stderr(), "{line}")
        };
    }

    /// Leaves an empty line to the report.
    fn end(&self) {
        if self.terminal {
            let _told = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        for (url, expected) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://localhost:8000/", "localhost:8000"),
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("[::1]:8000", "[::1]:8000"),
            ("http://vms.example", "vms.example:80"),
        ] {
            assert_eq!(address(url).unwrap(), expected, "{url}");
        }
        for bad in ["", "https://x:1", "http://x:1/path", "x:port", ":80", "x/y", "http://"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
