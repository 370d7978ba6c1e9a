//! What the selected tests ask for, against what there is in this run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::anyhow;
use kolea_machine::Provisioning;
use kolea_model::{SkipReason, TestCase};
use kolea_qemu::QemuPlatform;
use kolea_suite::Selected;

use super::super::Failure;
use crate::build::Build;
use crate::program::warn;
use crate::settings::Settings;

/// Why no machine of this version, on this host, or of this run is what the test asks for.
pub fn unsupported(test: &TestCase, settings: &Settings) -> Option<SkipReason> {
    if test.needs.boot_from.is_some()
        && let Some(why) = settings.why_no_iso()
    {
        return Some(SkipReason::Deselected {
            rule: format!("no live ISO: {why}"),
        });
    }
    let target = test.needs.additional_disks.first();
    let sectors = target.map(|disk| disk.sectors).unwrap_or_default();
    if test.needs.metal && settings.metal_image(sectors).is_none() {
        return Some(SkipReason::Deselected {
            rule: "no disk image that could be installed from a server: name one by --metal-image"
                .to_owned(),
        });
    }
    let arch = &settings.selection.arch;
    let lacking = || {
        kolea_qemu::lacking(&test.needs, arch)
            .map(|(name, _)| format!("firmware {name} on this host"))
    };
    if let Some(need) = kolea_qemu::unmet(&test.needs, arch).or_else(lacking) {
        return Some(SkipReason::Unsupported { need });
    }
    let provisioning = settings.machines.provisioning;
    let of_ignition = if test.config.is_some() {
        "an Ignition config"
    } else if test.needs.firstboot_kernel_args.is_some() {
        "kernel arguments for Ignition's boot"
    } else if test
        .needs
        .server
        .as_ref()
        .is_some_and(|server| server.config.is_some())
    {
        "an Ignition config on its server"
    } else if test.needs.boot_from.is_some() || test.needs.console_only {
        "a live ISO's Ignition"
    } else {
        return None;
    };
    (provisioning != Provisioning::Ignition).then(|| SkipReason::NotApplicable {
        rule: format!(
            "it has {of_ignition}, and machines are provisioned otherwise (--provision {provisioning})"
        ),
    })
}

/// Sets aside the tests that the live ISO, or the image to be installed, is not fit for. All else that an image or the host lacks is an
/// error, and so is this for a test that was asked for by its very name.
pub fn set_aside_on(
    platform: &QemuPlatform,
    selected: &mut Selected,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut told = BTreeSet::new();
    let mut run = Vec::new();
    for test in std::mem::take(&mut selected.run) {
        let Err(why) = platform.check(&test.needs) else {
            run.push(test);
            continue;
        };
        if test.needs.boot_from.is_none() || settings.selection.patterns.contains(&test.name) {
            return Err(Failure::usage(anyhow!("{}: {why}", test.name)));
        }
        told.insert(why.clone());
        let reason = SkipReason::Deselected { rule: why };
        selected.skipped.push((test, reason));
    }
    let told: Vec<String> = told.into_iter().collect();
    if run.is_empty() && !told.is_empty() {
        return Err(Failure::no_tests(anyhow!(told.join("; "))));
    }
    for why in told {
        warn(format_args!("some tests are skipped: {why}"));
    }
    selected.run = run;
    Ok(())
}

/// Sets aside the tests that ask for what is not supported yet, or not in this run, in one warning for each sort. One that was
/// asked for by its very name is an error, and so is a run of which nothing is left.
pub fn set_aside(selected: &mut Selected, settings: &Settings) -> Result<(), Failure> {
    let mut run = Vec::new();
    let mut lacking = BTreeSet::new();
    let mut needs: BTreeMap<String, usize> = BTreeMap::new();
    let mut unread = 0;
    let arch = &settings.selection.arch;
    for test in std::mem::take(&mut selected.run) {
        let Some(reason) = unsupported(&test, settings) else {
            run.push(test);
            continue;
        };
        if settings.selection.patterns.contains(&test.name) {
            let lacking = kolea_qemu::lacking(&test.needs, arch).map(|(_, why)| why);
            let why = lacking.unwrap_or_else(|| reason.to_string());
            return Err(Failure::usage(anyhow!("{}: {why}", test.name)));
        }
        match &reason {
            SkipReason::Unsupported { need } => {
                if let Some((_, why)) = kolea_qemu::lacking(&test.needs, arch) {
                    lacking.insert(why);
                }
                for need in need.split(", ") {
                    *needs.entry(need.to_owned()).or_default() += 1;
                }
            }
            SkipReason::NotApplicable { .. } => unread += 1,
            _ => {}
        }
        selected.skipped.push((test, reason));
    }
    if let Some(why) = selected.why_nothing().filter(|_| run.is_empty()) {
        // Tests that are denied or in other shards leave an empty run, which is a good one; these do not.
        if !needs.is_empty() || unread > 0 {
            return Err(Failure::no_tests(anyhow!(why)));
        }
        warn(why);
    }
    if !needs.is_empty() {
        let needs: Vec<String> = needs
            .iter()
            .map(|(need, count)| format!("{need} ({count})"))
            .collect();
        warn(format_args!(
            "some tests are skipped, since they ask for what is not supported yet: {}",
            needs.join(", ")
        ));
    }
    for why in lacking {
        warn(why);
    }
    if unread > 0 {
        warn(format_args!(
            "{unread} test{} skipped, having a config or kernel arguments for Ignition: machines are provisioned otherwise (--provision {})",
            if unread == 1 { " is" } else { "s are" },
            settings.machines.provisioning
        ));
    }
    for test in &run {
        kolea_qemu::check(&test.needs)
            .map_err(|error| Failure::usage(anyhow!("{}: {error}", test.name)))?;
    }
    selected.run = run;
    warn_of_little_memory(&selected.run, settings.machines.memory_mib);
    Ok(())
}

fn warn_of_little_memory(run: &[TestCase], memory_mib: Option<u64>) {
    const SHOWN: usize = 3;
    let Some(memory) = memory_mib else { return };
    let short: Vec<String> = run
        .iter()
        .filter_map(|test| {
            let wanted = test.needs.memory_mib.filter(|wanted| *wanted > memory)?;
            Some(format!("{} ({wanted})", test.name))
        })
        .collect();
    if !short.is_empty() {
        let more = match short.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        warn(format_args!(
            "--qemu-memory {memory} is less than tests ask for: {}{more}",
            short[..short.len().min(SHOWN)].join(", ")
        ));
    }
}

/// The ostree container for the tests that ask for it; an error that names them if there is none.
pub fn container(run: &[TestCase], build: Option<&Build>) -> Result<Option<PathBuf>, Failure> {
    let wanted: Vec<&str> = run
        .iter()
        .filter(|test| test.inject_container)
        .map(|test| test.name.as_str())
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let names = wanted.join(", ");
    match build.map(Build::ociarchive) {
        Some(Some(found)) => {
            let describe = |error: anyhow::Error| {
                Failure::usage(error.context(format!("injectContainer of {names}")))
            };
            found.map(Some).map_err(describe)
        }
        Some(None) => Err(Failure::usage(anyhow!(
            "injectContainer: the build has no ostree container for {names}; leave them out, or build one"
        ))),
        None => Err(Failure::usage(anyhow!(
            "injectContainer: the ostree container for {names} comes from a build, and there is none: name a working directory by --workdir, or leave them out"
        ))),
    }
}
