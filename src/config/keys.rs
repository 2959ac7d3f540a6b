//! The table of settings.

use super::Settings;
use super::value::Value;

/// One setting.
pub struct Key {
    /// Its name in `cumulet.toml`, `section.name` inside a section.
    pub name: &'static str,
    /// What it means, in a line.
    pub help: &'static str,
    /// In the file it may be a table of its own too, `[section.name]`, of names and texts.
    pub(super) is_pairs: bool,
    pub(super) set: fn(&mut Settings, &str) -> Result<(), String>,
    pub(super) show: fn(&Settings) -> String,
}

impl Key {
    /// Its environment variable, without the prefix.
    pub(super) fn environment_name(&self) -> String {
        self.name.replace('.', "_").to_ascii_uppercase()
    }

    /// Whether it stands in this section of the file.
    pub(super) fn is_in(&self, section: &str) -> bool {
        self.name.split_once('.').is_some_and(|(first, _)| first == section)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! key {
    ($name:literal, $($field:ident).+, $help:literal) => {
        Key {
            name: $name,
            help: $help,
            is_pairs: false,
            set: |settings, text| {
                settings.$($field).+ = Value::read(text)?;
                Ok(())
            },
            show: |settings| settings.$($field).+.show(),
        }
    };
}

/// All settings.
pub static KEYS: &[Key] = &[
    key!("state", state, "the state folder"),
    key!("port", port, "port of the balancer, 0 is any free one"),
    key!("admin_port", admin_port, "port for health, metrics and state, loopback only"),
    key!("vms", vms, "VMs to start with"),
    key!("instance_type", instance_type, "type of a VM of which nothing else is said"),
    key!("boot_scale", boot_scale, "what the boot time of a type is multiplied with"),
    key!("credit_scale", credit_scale, "how much faster CPU credits are earned and spent"),
    key!("report_every", report_every, "how often a VM reports"),
    key!("drain_limit", drain_limit, "how long a draining VM may take"),
    key!("replace_silent_after", replace_silent_after, "a VM silent for so long is replaced"),
    key!("health_grace", health_grace, "time from launch until silence counts"),
    key!("launches_per_minute", launches_per_minute, "most VMs launched in a minute"),
    key!("hooks.launch", hooks.launch, "command run before a VM serves"),
    key!("hooks.terminate", hooks.terminate, "command run after a VM's last request"),
    key!("hooks.timeout", hooks.timeout, "how long a hook may take"),
    key!("hooks.default_result", hooks.default_result, "if one fails at launch: abandon, continue"),
    key!("autoscaler.policy", autoscaler.policy, "scaling policy, NAME key=value …"),
    key!("autoscaler.target_cpu", autoscaler.target_cpu, "mean CPU share to aim at"),
    key!("autoscaler.minimum", autoscaler.minimum, "fewest VMs"),
    key!("autoscaler.maximum", autoscaler.maximum, "most VMs"),
    key!("autoscaler.scale_out_cooldown", autoscaler.scale_out_cooldown, "pause after a scale-out"),
    key!(
        "autoscaler.scale_in_cooldown",
        autoscaler.scale_in_cooldown,
        "pause after any change before a scale-in"
    ),
    key!("autoscaler.warm_up", autoscaler.warm_up, "how long a VM runs before its CPU counts"),
    key!("autoscaler.window", autoscaler.window, "time over which CPU shares are averaged"),
    key!("autoscaler.termination", autoscaler.termination, "which VM goes first"),
    key!("autoscaler.warm_pool", autoscaler.warm_pool, "booted VMs that wait to be wanted"),
    key!("balancer.policy", balancer.policy, "how the balancer chooses a VM"),
    key!("balancer.max_attempts", balancer.max_attempts, "how often a request may be tried"),
    key!("balancer.queue_deadline", balancer.queue_deadline, "how long a request waits for a VM"),
    key!("balancer.queue_length", balancer.queue_length, "how many requests may wait for a VM"),
    key!("balancer.slow_start", balancer.slow_start, "how long a VM that has just come warms up"),
    key!("balancer.hedge", balancer.hedge, "whether an idle VM is asked too when one is late"),
    key!("balancer.vm_sockets", balancer.vm_sockets, "whether VMs are reached by their sockets"),
    key!("balancer.request_deadline", balancer.request_deadline, "how long a request may take"),
    key!(
        "balancer.hold_answer_bytes",
        balancer.hold_answer_bytes,
        "answers up to this size are held until whole"
    ),
    key!("balancer.head_timeout", balancer.head_timeout, "how long a client may send a head"),
    key!("balancer.body_timeout", balancer.body_timeout, "how long a client may send a body"),
    key!(
        "balancer.answer_timeout",
        balancer.answer_timeout,
        "how long a client may read an answer"
    ),
    key!("balancer.access_log", balancer.access_log, "whether each request is logged"),
    key!("screen.theme", screen.theme, "auto, dark, light or mono"),
    key!("screen.symbols", screen.symbols, "auto, braille, block or ascii"),
    Key {
        is_pairs: true,
        ..key!("screen.keys", screen.keys, "keys of your own, NAME=KEY …, by the names of `:`")
    },
    key!("functions.overflow", functions.overflow, "when requests that wait go to functions"),
    key!("functions.longest", functions.longest, "longest time in a function of such a request"),
    key!("functions.cold_start", functions.cold_start, "how long a new environment takes"),
    key!("records.keep", records.keep, "how long metrics, samples, events and logs are kept"),
    key!("records.max_bytes", records.max_bytes, "most bytes of each of them"),
    key!("limits.body_bytes", limits.body_bytes, "bytes of a request's body"),
    key!("limits.picture_pixels", limits.picture_pixels, "pixels of a picture"),
    key!("limits.window_pixels", limits.window_pixels, "pixels of a rendered window"),
    key!("limits.primitives", limits.primitives, "shapes in a scene"),
    key!("limits.lights", limits.lights, "lights in a scene"),
    key!("limits.texture_bytes", limits.texture_bytes, "bytes of an encoded texture"),
    key!("limits.texture_pixels", limits.texture_pixels, "pixels of a texture"),
    key!(
        "limits.requests_per_vcpu",
        limits.requests_per_vcpu,
        "requests that a VM works on at once for each of its vCPUs, 0 is any number"
    ),
    key!("limits.vm_queue_length", limits.vm_queue_length, "requests that may wait in one VM"),
];
