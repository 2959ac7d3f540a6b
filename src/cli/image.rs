//! `cumulet image`: what a VM is launched from.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::arguments::{self, Arguments};
use super::{operate, print};
use crate::client::send;
use crate::config::{Config, KEYS};
use crate::domain::vm::{VmId, VmState};
use crate::operator;
use crate::process;
use crate::state::StateFolder;
use crate::state::image::{Image, ImageName};
use crate::state::vm_state::VmStateFile;

#[derive(Debug, Subcommand)]
pub(super) enum ImageWish {
    /// Make an image of a running VM: its type, its settings and its workloads.
    #[command(after_help = "Example: cumulet image create web --from vm-2")]
    Create {
        /// What to call it; one of that name is replaced.
        name: ImageName,
        /// The VM.
        #[arg(long, value_name = "ID")]
        from: VmId,
    },
    /// List the images.
    #[command(after_help = "Example: cumulet image list --json")]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove an image. VMs launched from it go on; none can be launched again.
    #[command(after_help = "Example: cumulet image delete web")]
    Delete {
        /// The image.
        name: ImageName,
    },
    /// Boot a VM from an image, try every workload on it against known results, and end it.
    #[command(after_help = "Example: cumulet image test web")]
    Test {
        /// The image.
        name: ImageName,
    },
}

pub(super) fn image(config: &Config, wish: ImageWish) -> anyhow::Result<()> {
    let folder = operate::folder(config)?;
    match wish {
        ImageWish::Create { name, from } => print(&format!("{}\n", create(&folder, &name, &from)?)),
        ImageWish::List { json } => list(&folder, json),
        ImageWish::Delete { name } => {
            folder.delete_image(&name)?;
            print(&format!("image {name} removed\n"))
        }
        ImageWish::Test { name } => test(config, &folder, &name),
    }
}

/// What settings of a VM an image keeps: those of the VM itself.
fn is_kept(name: &str) -> bool {
    const OWN: [&str; 3] = ["boot_scale", "credit_scale", "drain_limit"];
    OWN.contains(&name) || name.starts_with("hooks.") || name.starts_with("limits.")
}

/// Makes an image of a VM; says so. The VM's own command line says all that it was started with.
pub(super) fn create(
    folder: &StateFolder,
    name: &ImageName,
    from: &VmId,
) -> anyhow::Result<String> {
    let vms = folder.read::<VmStateFile>()?.unwrap_or_default();
    let vm = vms.vm(from).with_context(|| operator::Error::unknown_vm(folder, from).to_string())?;
    let words = process::arguments(vm.pid)
        .filter(|_| process::is_vm(vm.pid, from))
        .with_context(|| format!("{from} does not run: an image is made of a VM that runs"))?;
    let started = Arguments::try_parse_from(words)
        .with_context(|| format!("{from} was not started by this version"))?;
    // Without a file of its own it had none at all; the one in this folder is not its.
    let file = started.config.as_deref().unwrap_or(Path::new("/dev/null"));
    let mut config = Config::load(Some(file), [], &started.flags()?)?;
    if let arguments::Command::Vm { image: Some(base), .. } = &started.command {
        let image = folder.read_image(base)?;
        config.apply_image(&folder.image_path(base), &image.settings)?;
    }
    let kept = KEYS.iter().filter(|key| is_kept(key.name));
    let image = Image {
        created_at: Timestamp::now(),
        from: from.to_string(),
        instance_type: vm.instance_type.clone(),
        workloads: TRIALS.map(|trial| trial.workload.to_owned()).to_vec(),
        settings: kept.map(|key| (key.name.to_owned(), config.shown(key))).collect(),
    };
    folder.write_image(name, &image)?;
    let kind = &image.instance_type;
    Ok(format!(
        "image {name} made of {from}: {kind}, {}; `cumulet launch --image {name}` starts one",
        image.workloads.join(", ")
    ))
}

fn list(folder: &StateFolder, json: bool) -> anyhow::Result<()> {
    let mut images = Vec::new();
    for name in folder.images()? {
        let image = folder.read_image(&name)?;
        images.push((name, image));
    }
    if json {
        let all = images.iter().map(|(name, image)| {
            json!({
                "name": name.to_string(),
                "createdAt": image.created_at,
                "from": image.from,
                "type": image.instance_type,
                "workloads": image.workloads,
                "settings": image.settings,
            })
        });
        return print(&format!("{:#}\n", all.collect::<Value>()));
    }
    let line = |(name, image): &(ImageName, Image)| {
        let Image { from, instance_type, created_at, workloads, .. } = image;
        format!(
            "{name:<16} {instance_type:<10} of {from:<8} {created_at:.0}  {}\n",
            workloads.join(", ")
        )
    };
    let text = images.iter().map(line).collect::<String>();
    print(if text.is_empty() { "no images\n" } else { &text })
}

/// A request whose answer is known.
struct Trial {
    workload: &'static str,
    path: &'static str,
    body: fn() -> Vec<u8>,
    /// The FNV-1a hash of the answer.
    answer: u64,
}

const TRIALS: [Trial; 3] = [
    Trial { workload: "blur", path: "/blurimage", body: picture, answer: 0x6a9e_6fd7_a2a1_9185 },
    Trial {
        workload: "enhance",
        path: "/enhanceimage",
        body: picture,
        answer: 0xc08b_2c78_ecaf_cbba,
    },
    Trial {
        workload: "raytrace",
        path: "/raytracer?scols=40&srows=30&wcols=40&wrows=30&coff=0&roff=0&aa=true",
        body: scene,
        answer: 0xf781_d110_0f30_f3f4,
    },
];

/// A BMP picture of 32 × 32 pixels with edges and slopes. No codec has a choice in how it writes
/// one, so the answer is the same to the byte everywhere.
fn picture() -> Vec<u8> {
    const SIDE: u8 = 32;
    let (pixels, head) = (u32::from(SIDE) * u32::from(SIDE) * 3, 54_u32);
    let mut file = b"BM".to_vec();
    for field in [head + pixels, 0, head, 40, SIDE.into(), SIDE.into(), (24 << 16) | 1, 0, pixels] {
        file.extend(field.to_le_bytes());
    }
    file.extend([0; 16]);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let edge = if (x / 8 + y / 8) % 2 == 0 { 100 } else { 0 };
            file.extend([x * 4 + edge, y * 4 + edge, x + y]);
        }
    }
    file
}

/// A scene of a sphere on a plane.
fn scene() -> Vec<u8> {
    b"0 1 6  0 0 0  0 1 0  50\n2\n0 0 0   1 1 1   1 0 0\n-4 6 5  1 1 1   1 0 0\n2\n\
      checker .2 .2 .2  .9 .9 .9  1.3\nsolid .9 .3 .2\n1\n.2 .6 .4 40  .3 0 1\n2\n\
      0 0 plane 0 1 0 1.1\n1 0 sphere 0 0 0 1\n"
        .to_vec()
}

/// <http://www.isthe.com/chongo/tech/comp/fnv/>, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// How long a VM may take beyond its boot time to serve, and to leave.
const PATIENCE: Duration = Duration::from_mins(1);

fn test(config: &Config, folder: &StateFolder, name: &ImageName) -> anyhow::Result<()> {
    let image = folder.read_image(name)?;
    let boot = config.settings.instance_types.get(&image.instance_type).map(|it| it.boot);
    let mut vm = TrialVm::boot(config, name, &image)?;
    let address = vm.wait_until_it_serves(boot.unwrap_or_default() + PATIENCE)?;
    let mut report = format!(
        "image {name}: {} serves after {:.1} s\n",
        image.instance_type,
        vm.started.elapsed().as_secs_f64()
    );
    let mut failed = Vec::new();
    for workload in &image.workloads {
        let Some(trial) = TRIALS.iter().find(|trial| trial.workload == workload) else {
            bail!("{}: there is no workload `{workload}`", folder.image_path(name).display());
        };
        let begin = Instant::now();
        let outcome = trial.run(&address);
        let milliseconds = begin.elapsed().as_secs_f64() * 1e3;
        let outcome = outcome.map_or_else(
            |error| {
                failed.push(workload.as_str());
                format!("FAILED: {error:#}")
            },
            |()| format!("ok in {milliseconds:.0} ms"),
        );
        writeln!(report, "  {workload:<9} {outcome}")?;
    }
    vm.end()?;
    report += "  the VM has ended\n";
    print(&report)?;
    ensure!(failed.is_empty(), "image {name} fails: {}", failed.join(", "));
    Ok(())
}

impl Trial {
    fn run(&self, address: &str) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = async {
            let answer = send::ask(address, "POST", self.path, (self.body)());
            tokio::time::timeout(PATIENCE, answer).await
        };
        let answer = runtime.block_on(asked).context("no answer in time")??;
        ensure!(answer.status == 200, "{}", answer.refusal());
        let hash = fnv1a(&answer.body);
        ensure!(hash == self.answer, "the answer has hash {hash:#x}, not {:#x}", self.answer);
        Ok(())
    }
}

/// A VM without a cluster, on a state folder of its own. Dropping it ends it and removes the
/// folder.
struct TrialVm {
    child: Child,
    folder: StateFolder,
    started: Instant,
}

impl TrialVm {
    fn boot(config: &Config, name: &ImageName, image: &Image) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("cumulet-image-{:016x}", fastrand::u64(..)));
        let folder = StateFolder::open(&path)?;
        folder.write_image(name, image)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["vm", "--id", "trial", "--image", &name.to_string(), "--state"]).arg(&path);
        if let Some(file) = &config.file {
            command.arg("--config").arg(std::path::absolute(file)?);
        }
        let errors = std::fs::File::create(folder.log_path("trial.stderr"))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn()?;
        Ok(Self { child, folder, started: Instant::now() })
    }

    /// Its address, once it serves.
    fn wait_until_it_serves(&mut self, patience: Duration) -> anyhow::Result<String> {
        while self.started.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                let said = std::fs::read_to_string(self.folder.log_path("trial.stderr"));
                bail!("the VM ended: {status}\n{}", said.unwrap_or_default().trim());
            }
            let vms = self.folder.read::<VmStateFile>()?.unwrap_or_default();
            if let Some(vm) = vms.vms.iter().find(|vm| vm.state == VmState::Running) {
                return Ok(vm.address.clone());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the VM does not serve after {} s", patience.as_secs())
    }

    /// Ends it as a cluster would.
    fn end(&mut self) -> anyhow::Result<()> {
        process::signal(self.child.id(), Signal::TERM, "the VM")?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(begin.elapsed() < PATIENCE, "the VM does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for TrialVm {
    fn drop(&mut self) {
        // Nothing is left to kill after a test that went well.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if let Err(error) = std::fs::remove_dir_all(self.folder.path()) {
            tracing::warn!(%error, "the folder of the trial is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::workload::imaging::{self, Filter, OutputFormat};
    use crate::workload::raytracer::{self, RenderRequest, View};
    use crate::workload::{FullSpeed, Limits, Run};

    /// A VM whose answers differ from those of this program was not made of it.
    #[test]
    fn the_known_results_are_what_the_workloads_make() {
        let limits = Limits::default();
        let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
        let filtered = |filter| {
            imaging::apply(filter, &picture(), OutputFormat::SameAsInput, &run).unwrap().bytes
        };
        let view = View {
            scene_columns: 40,
            scene_rows: 30,
            window_columns: 40,
            window_rows: 30,
            column_offset: 0,
            row_offset: 0,
            antialias: true,
        };
        let scene = scene();
        let request = RenderRequest { scene: &scene, texmap: None, view };
        let rendered = raytracer::render(&request, &run).unwrap().bmp;
        let made = [filtered(Filter::Blur), filtered(Filter::Enhance), rendered];
        for (trial, made) in TRIALS.iter().zip(made) {
            assert_eq!(format!("{:#x}", trial.answer), format!("{:#x}", fnv1a(&made)));
        }
    }
}
