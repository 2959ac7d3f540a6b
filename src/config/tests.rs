use super::*;

fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cumulet.toml");
    std::fs::write(&path, text).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let flags: Vec<Flag> = flags
        .iter()
        .map(|(key, value)| Flag {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            typed: format!("--{key}"),
        })
        .collect();
    Config::load(Some(&path), environment, &flags)
}

fn refusal(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    load(text, environment, flags).unwrap_err().to_string()
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = "port = 1\nadmin_port = 1\nvms = 1\n";
    let environment = [("CUMULET_ADMIN_PORT", "2"), ("CUMULET_VMS", "2"), ("HOME", "/")];
    let config = load(file, &environment, &[("vms", "7")]).unwrap();
    let settings = &config.settings;
    assert_eq!((settings.port, settings.admin_port, settings.vms), (1, 2, 7));
    assert_eq!(settings.report_every, Duration::from_secs(5));
    let sources: Vec<String> =
        config.rows().take(4).map(|(_, _, source)| source.to_string()).collect();
    assert_eq!(sources[0], "default");
    assert!(sources[1].ends_with("cumulet.toml"));
    assert_eq!(sources[2..], ["environment CUMULET_ADMIN_PORT", "flag --vms"]);
    let handed_on = [("admin_port", "2".to_owned()), ("vms", "7".to_owned())];
    assert_eq!(config.flags(), handed_on);
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_known_one() {
    assert!(refusal("[autoscaler]\ntarget_cpus = 0.5", &[], &[]).ends_with(
        "no setting is called `autoscaler.target_cpus`; did you mean `autoscaler.target_cpu`?"
    ));
    assert_eq!(
        refusal("", &[("CUMULET_PROT", "1")], &[]),
        "environment: no setting is called CUMULET_PROT; did you mean CUMULET_PORT?"
    );
    assert_eq!(
        refusal("", &[], &[("autoscaler.maximun", "1")]),
        "--autoscaler.maximun: no setting is called `autoscaler.maximun`; did you mean \
         `autoscaler.maximum`?"
    );
}

#[test]
fn keys_stand_in_a_table_of_their_own_or_in_one_text() {
    let table = load("[screen.keys]\nlaunch = \"L\"\nlonger = \"=\"", &[], &[]).unwrap();
    assert_eq!(table.settings.screen.keys.as_deref(), Some("launch=L longer=="));
    let text = load("[screen]\nkeys = \"launch=L longer==\"", &[], &[]).unwrap();
    assert_eq!(text.settings.screen.keys, table.settings.screen.keys);
    let refused = refusal("[screen.keys]\nlaunch = 5", &[], &[]);
    assert!(refused.contains("[screen.keys]: each value must be a text"), "{refused}");
    let refused = refusal("[screen.themes]\ndark = \"x\"", &[], &[]);
    assert!(refused.contains("did you mean `screen.theme`?"), "{refused}");
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_what_would() {
    for (text, wanted) in [
        ("port = 70000", "a whole number from 0 to 65535 is needed"),
        ("vms = -1", "a whole number"),
        ("report_every = \"soon\"", "for example 5s, 200ms or 1m"),
        ("report_every = -3", "for example 5s"),
        ("report_every = 0", "at least 10ms is needed"),
        ("drain_limit = 1e19", "at most 30 days"),
        ("drain_limit = \"9000h\"", "at most 30 days"),
        ("balancer.max_attempts = 0", "at least 1 is needed"),
        ("boot_scale = \"nan\"", "not negative"),
        ("autoscaler.target_cpu = 60", "a share above 0 and up to 1"),
        ("autoscaler.minimum = 30", "must not be above the maximum"),
        ("autoscaler.warm_pool = 4000000000", "need not wait"),
        ("vms = 4000000000", "vms is 4000000000: at most 10000 are possible"),
        (
            "[autoscaler]\nwarm_pool = 20000\nmaximum = 4000000000",
            "autoscaler.warm_pool is 20000: at most 10000 are possible",
        ),
        ("autoscaler.maximum = -1", "a whole number"),
        ("autoscaler.minimum = 0.5", "a whole number"),
        ("autoscaler.target_cpu = 0", "a share above 0 and up to 1"),
        ("autoscaler.target_cpu = nan", "a share above 0 and up to 1"),
        ("autoscaler.window = \"NaN\"", "for example 5s"),
        ("launches_per_minute = -1", "a whole number"),
        ("autoscaler.policy = 5", "there is no policy called `5`"),
        ("autoscaler.policy = \"threshold high=NaN\"", "a number from 0 to 1 is needed"),
        ("autoscaler.policy = \"knative target=-1\"", "a number from 0.01"),
        ("autoscaler.policy = \"step in=0:1e99\"", "is not DISTANCE:ADJUSTMENT"),
        ("autoscaler.policy = \"kubernetes-hpa up=4\"", "is not VMs/PERIOD"),
        ("autoscaler.policy = \"queue-depth per_vm=0\"", "a number from 0.001"),
        ("autoscaler.policy = \"scheduled times=25:00 3\"", "is not [DAYS] HH:MM SIZE"),
        ("hooks.default_result = \"retry\"", "is not abandon or continue"),
        ("instance_type = \"t9.huge\"", "no instance type is called `t9.huge`; there are"),
        ("balancer.policy = \"best\"", "is not least-in-flight"),
        ("state = [1]", "must be a text, a number"),
        ("vms = ", "TOML parse error"),
        ("[instance_types.big]\nvcpu = 3", "has no `vcpu`"),
        ("[instance_types.big]\nvcpus = 0", "must be 1 to 1024"),
        ("[instance_types.big]\nvcpus = 5000", "must be 1 to 1024"),
        ("[instance_types.big]\nmemory_mib = 1", "must be at least 64"),
        ("[instance_types.big]\nunlimited = true", "CPU credits need a `baseline`"),
        ("[instance_types.big]\nbaseline = 0.1", "a `baseline` needs `vcpus`"),
        (
            "[instance_types.big]\nvcpus = 2\nbaseline = 0.1\ncredits_per_hour = 6",
            "must be baseline × vcpus × 60 = 12",
        ),
        ("[autoscalr]", "no setting is called `autoscalr`"),
    ] {
        let refused = refusal(text, &[], &[]);
        assert!(refused.contains(wanted), "{text}: {refused}");
    }
}

#[test]
fn times_are_read_and_shown_with_their_units() {
    let config = load("report_every = \"200ms\"\ndrain_limit = \"1m 30s\"", &[], &[]).unwrap();
    assert_eq!(config.settings.report_every, Duration::from_millis(200));
    assert_eq!(config.settings.drain_limit, Duration::from_secs(90));
    for (key, shown, _) in config.rows() {
        let mut again = Settings::default();
        (key.set)(&mut again, &shown).unwrap();
        assert_eq!((key.show)(&again), shown, "{} survives being shown", key.name);
    }
}

#[test]
fn a_type_of_the_users_own_stands_beside_the_built_in_ones() {
    let text = "instance_type = \"tiny\"\n[instance_types.tiny]\nvcpus = 1\nboot = \"3s\"\n";
    let settings = load(text, &[], &[]).unwrap().settings;
    assert_eq!(settings.instance_types["tiny"].vcpus, Some(1));
    assert_eq!(settings.instance_types["tiny"].boot, Duration::from_secs(3));
    assert!(settings.instance_types.contains_key("t3.micro"));
}
