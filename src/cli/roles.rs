//! Commands that run a role, until a signal ends them.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::absolute;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use super::observe::plain_screen;
use super::operate::known_type;
use crate::config::{Config, Settings};
use crate::domain::instance_type::InstanceType;
use crate::domain::retention::Retention;
use crate::domain::vm::VmId;
use crate::domain::{overflow, scaling};
use crate::state::StateFolder;
use crate::state::image::ImageName;
use crate::{autoscaler, balancer, cluster, functions, logging, process, tui, vm, workload};

pub(super) fn up(config: &Config, no_tui: bool) -> anyhow::Result<()> {
    let settings = &config.settings;
    let folder = StateFolder::open(&settings.state)?;
    let on_screen = !no_tui && io::stdout().is_terminal() && io::stdin().is_terminal();
    // What is written to stderr would stand in the middle of the screen.
    let stderr = if on_screen { LevelFilter::OFF } else { LevelFilter::WARN };
    logging::start(Some(&folder.log_path("cluster.jsonl")), stderr)?;
    let (narrate, narrated) = watch::channel(!on_screen);
    let cluster = cluster::Settings {
        program: std::env::current_exe().context("cannot find the program's own file")?,
        handed_on: handed_on(config)?,
        port: settings.port,
        admin_port: settings.admin_port,
        vms: settings.vms,
        instance_type: settings.instance_type.clone(),
        bounds: (settings.autoscaler.minimum, settings.autoscaler.maximum),
        drain_limit: settings.drain_limit,
        health_grace: settings.health_grace,
        launches_per_minute: settings.launches_per_minute,
        hook_timeout: settings.hooks.timeout,
        replace_silent_after: settings.replace_silent_after.max(settings.report_every * 4),
        retention: Retention {
            keep: settings.records.keep,
            most_bytes: settings.records.max_bytes,
        },
        alerts: settings.alerts.clone(),
        narrate: narrated,
    };
    let screen =
        if on_screen { Some(tui::Settings { in_up: true, ..plain_screen(config)? }) } else { None };
    run(|stop, now| async move {
        let shown = stop.child_token();
        let running = async {
            let ended = cluster::run(cluster, folder.clone(), stop.clone(), now).await;
            shown.cancel();
            ended
        };
        let Some(screen) = screen else { return running.await };
        let showing = async {
            let outcome = tui::run(screen, folder.clone(), shown.clone()).await;
            narrate.send_replace(true);
            if outcome.as_ref().is_ok_and(|outcome| *outcome == tui::Outcome::StopCluster) {
                stop.cancel();
            }
            outcome
        };
        let (ended, shown) = tokio::join!(running, showing);
        ended.and(shown.map(drop))
    })
}

pub(super) fn autoscaler(config: &Config) -> anyhow::Result<()> {
    let settings = &config.settings;
    let folder = StateFolder::open(&settings.state)?;
    logging::start(Some(&folder.log_path("autoscaler.jsonl")), stderr_level())?;
    let wanted = &settings.autoscaler;
    let (policy, parameters) = scaling::named(&wanted.policy);
    let autoscaler = autoscaler::Settings {
        policy,
        parameters,
        defaults: wanted.policy_defaults(),
        minimum: wanted.minimum,
        maximum: wanted.maximum,
        termination: wanted.termination,
        warm_pool: wanted.warm_pool,
        report_every: settings.report_every,
        types: settings.instance_types.clone(),
        instance_type: settings.instance_type.clone(),
        boot_scale: settings.boot_scale,
        cores: std::thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
    };
    run(|stop, _| autoscaler::run(autoscaler, folder, stop))
}

pub(super) fn balancer(config: &Config, listeners_inherited: bool) -> anyhow::Result<()> {
    let settings = &config.settings;
    let folder = StateFolder::open(&settings.state)?;
    // Run by hand it prints each request; stderr need not say it again.
    let stderr = if listeners_inherited { stderr_level() } else { LevelFilter::WARN };
    logging::start(Some(&folder.log_path("balancer.jsonl")), stderr)?;
    let (listener, admin) = if listeners_inherited {
        inherited().context("--listeners-inherited: stdin and stdout are not sockets")?
    } else {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, settings.port));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.admin_port));
        (
            TcpListener::bind(any).with_context(|| format!("cannot listen on {any}"))?,
            TcpListener::bind(loopback).with_context(|| format!("cannot listen on {loopback}"))?,
        )
    };
    if listeners_inherited {
        process::descriptors::let_others_copy();
    }
    // Before any thread is started: each inherits the priority of the one that starts it.
    tracing::info!("the balancer {}", balancer::raise_priority());
    let role = balancer_settings(settings, !listeners_inherited);
    // On one thread: a request is then never handed from one core to another, which would cost more
    // than the balancer's own work on it.
    let mut runtime = Builder::new_current_thread();
    // Reading and writing its files takes it milliseconds a second. Two may wait for a lock at once.
    runtime.max_blocking_threads(3);
    run_on(&mut runtime, move |stop, _| async move {
        balancer::run(role, folder, asynchronous(listener)?, asynchronous(admin)?, stop).await
    })
}

pub(super) fn functions(config: &Config) -> anyhow::Result<()> {
    let settings = &config.settings;
    let folder = StateFolder::open(&settings.state)?;
    logging::start(Some(&folder.log_path("functions.jsonl")), stderr_level())?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener =
        TcpListener::bind(loopback).with_context(|| format!("cannot listen on {loopback}"))?;
    let role = functions::Settings {
        program: std::env::current_exe().context("cannot find the program's own file")?,
        handed_on: handed_on(config)?,
        cold_start: settings.functions.cold_start,
        grace: settings.drain_limit,
    };
    run(
        move |stop, _| async move { functions::run(role, folder, asynchronous(listener)?, stop).await },
    )
}

pub(super) fn vm(
    mut config: Config,
    id: VmId,
    instance_type: Option<&str>,
    image: Option<&ImageName>,
    listen: SocketAddr,
) -> anyhow::Result<()> {
    let folder = StateFolder::open(&config.settings.state)?;
    let image = image.map(|name| folder.read_image(name).map(|image| (name, image))).transpose()?;
    if let Some((name, image)) = &image {
        config.apply_image(&folder.image_path(name), &image.settings)?;
    }
    let settings = &config.settings;
    let of_image = image.as_ref().map(|(_, image)| image.instance_type.as_str());
    let name = instance_type.or(of_image).unwrap_or(&settings.instance_type);
    known_type(&config, name)?;
    let instance_type = settings.instance_types[name].clone();
    logging::start(Some(&folder.log_path(&format!("{id}.jsonl"))), stderr_level())?;
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    if let Some(bytes) = instance_type.memory_bytes {
        let how = vm::hold_to_memory(bytes).context("cannot limit the memory")?;
        tracing::info!(bytes, how, "memory is limited");
    }
    let role = vm_settings(settings, id, instance_type);
    run(move |stop, _| async move { vm::run(role, folder, asynchronous(listener)?, stop).await })
}

/// Signals closer together than this are one wish: `timeout`, for one, sends SIGTERM to the process
/// and again to its group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Runs a role until SIGINT, SIGTERM or the end of its terminal; a second one cancels the second
/// token.
pub(super) fn run<F: Future<Output = anyhow::Result<()>>>(
    role: impl FnOnce(CancellationToken, CancellationToken) -> F,
) -> anyhow::Result<()> {
    run_on(&mut Builder::new_multi_thread(), role)
}

/// As [`run`], on one thread: for a client, which is to leave the cores to those it measures.
pub(super) fn run_light<T, F: Future<Output = anyhow::Result<T>>>(
    role: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<T> {
    run_on(&mut Builder::new_current_thread(), |stop, _| role(stop))
}

fn run_on<T, F: Future<Output = anyhow::Result<T>>>(
    runtime: &mut Builder,
    role: impl FnOnce(CancellationToken, CancellationToken) -> F,
) -> anyhow::Result<T> {
    let runtime = runtime.enable_all().build()?;
    let result = runtime.block_on(async {
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup =
            process::hears_hangup().then(|| signal(SignalKind::hangup())).transpose()?;
        let tokens = [stop.clone(), now.clone()];
        tokio::spawn(async move {
            let mut before = None::<Instant>;
            for token in tokens {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        Some(()) = hear(&mut hangup) => {}
                    }
                    if before.is_none_or(|before| before.elapsed() >= SAME_WISH) {
                        break;
                    }
                }
                before = Some(Instant::now());
                token.cancel();
            }
        });
        role(stop, now).await
    });
    // What still blocks a thread (a lock that is not given back) must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Waits for a signal; for ever for one that is not to be heard.
async fn hear(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// The arguments that let another role find the same settings.
fn handed_on(config: &Config) -> anyhow::Result<Vec<String>> {
    let text = |path| -> anyhow::Result<String> { Ok(absolute(path)?.display().to_string()) };
    let mut arguments = vec!["--state".to_owned(), text(&config.settings.state)?];
    if let Some(file) = &config.file {
        arguments.extend(["--config".to_owned(), text(file)?]);
    }
    for (name, value) in config.flags() {
        if name != "state" {
            arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
    }
    Ok(arguments)
}

/// The sockets that `up` put in the place of stdin and stdout.
fn inherited() -> anyhow::Result<(TcpListener, TcpListener)> {
    let listener = TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let admin = TcpListener::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    listener.local_addr()?;
    admin.local_addr()?;
    Ok((listener, admin))
}

fn asynchronous(listener: TcpListener) -> anyhow::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
}

/// Somebody who runs a role by hand wants to see what it says; under `up`, stderr is a file that
/// only takes what no log took.
fn stderr_level() -> LevelFilter {
    if io::stderr().is_terminal() { LevelFilter::INFO } else { LevelFilter::ERROR }
}

pub(super) fn limits(settings: &Settings) -> workload::Limits {
    let limits = &settings.limits;
    workload::Limits {
        picture_pixels: limits.picture_pixels,
        window_pixels: limits.window_pixels,
        primitives: limits.primitives,
        lights: limits.lights,
        texture_bytes: limits.texture_bytes,
        texture_pixels: limits.texture_pixels,
    }
}

fn balancer_settings(settings: &Settings, prints: bool) -> balancer::Settings {
    let wanted = &settings.balancer;
    balancer::Settings {
        policy: wanted.policy,
        grace: settings.drain_limit,
        body_limit: settings.limits.body_bytes,
        held_answer_limit: wanted.hold_answer_bytes,
        attempts: wanted.max_attempts,
        requests_per_vcpu: settings.limits.requests_per_vcpu,
        slow_start: wanted.slow_start,
        hedge: wanted.hedge,
        vm_sockets: wanted.vm_sockets,
        queue_length: wanted.queue_length.into(),
        queue_deadline: wanted.queue_deadline,
        request_deadline: wanted.request_deadline,
        head_timeout: wanted.head_timeout,
        body_timeout: wanted.body_timeout,
        answer_timeout: wanted.answer_timeout,
        access_log: wanted.access_log,
        report_period: settings.report_every,
        print_requests: prints,
        types: settings.instance_types.clone(),
        overflow: overflow(settings),
        ..balancer::Settings::default()
    }
}

fn overflow(settings: &Settings) -> overflow::Rules {
    let price = |known: &InstanceType| known.price_per_hour;
    overflow::Rules {
        mode: settings.functions.overflow,
        longest: settings.functions.longest,
        vm_price_per_hour: settings.instance_types.get(&settings.instance_type).map_or(0.0, price),
    }
}

/// The part of a VM's memory that the bodies of its requests may take: the rest is for the work.
const BODIES_OF_MEMORY: u64 = 4;
/// The same where memory has no limit, in bytes.
const MOST_BODIES_BYTES: u64 = 1 << 30;

fn vm_settings(settings: &Settings, id: VmId, instance_type: InstanceType) -> vm::Settings {
    let memory = instance_type.memory_bytes.unwrap_or(u64::MAX);
    let all_bodies_bytes = (memory / BODIES_OF_MEMORY).min(MOST_BODIES_BYTES);
    vm::Settings {
        // A scale beyond all measure is a VM that never boots.
        boot: Duration::try_from_secs_f64(instance_type.boot.as_secs_f64() * settings.boot_scale)
            .unwrap_or(Duration::MAX),
        credit_scale: settings.credit_scale,
        hooks: vm::Hooks {
            launch: settings.hooks.launch.clone(),
            terminate: settings.hooks.terminate.clone(),
            timeout: settings.hooks.timeout,
            failing: settings.hooks.default_result,
        },
        report_every: settings.report_every,
        drain_limit: settings.drain_limit,
        limits: limits(settings),
        body_bytes: settings.limits.body_bytes,
        all_bodies_bytes,
        longest_queue: settings.limits.vm_queue_length,
        requests_per_vcpu: settings.limits.requests_per_vcpu,
        ..vm::Settings::new(id, instance_type)
    }
}
