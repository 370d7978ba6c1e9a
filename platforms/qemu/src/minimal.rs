//! Machines that boot from a minimal ISO. It is made of the live one once a run; the root file system comes from the machine's own server.

use std::path::{Path, PathBuf};

use kolea_machine::MachineError;
use kolea_model::{BootFrom, MachineSpec};
use kolea_serve::Site;

use crate::iso::{LiveIso, no_iso};
use crate::launch::Common;
use crate::pxe;
use crate::steps::Steps;

/// Whether a machine can boot so from the ISO. The error is one line for people.
pub fn check(spec: &MachineSpec, iso: &LiveIso) -> Result<(), String> {
    if spec.boot_from != Some(BootFrom::MinimalIso) {
        return Ok(());
    }
    let found = iso.pxeboot.as_ref().map(drop);
    found
        .and(iso.minimal.as_ref().copied())
        .map_err(|why| format!("{}: {why}", iso.path.display()))
}

/// Makes the ISO, and has the machine's server serve what it fetches, if the machine boots so. `work`: the run's directory.
pub async fn prepare(
    common: &Common,
    spec: &MachineSpec,
    work: &Path,
    site: Option<&Site>,
    steps: &Steps,
) -> Result<(), MachineError> {
    if spec.boot_from != Some(BootFrom::MinimalIso) {
        return Ok(());
    }
    let dir = pxe::serve_rootfs(common, work, site, steps).await?;
    // A new name: an attempt that nobody waits for any more may still be at work.
    let out = || dir.join(format!("minimal-{}.iso", uuid::Uuid::new_v4()));
    let made = common.minimal.get_or_try_init(|| make(common, out()));
    steps.time("minimal-iso", made).await?;
    Ok(())
}

async fn make(common: &Common, out: PathBuf) -> Result<PathBuf, MachineError> {
    let iso = common.iso.clone().ok_or_else(no_iso)?;
    let making = tokio::task::spawn_blocking(move || {
        let request = iso.minimal_request();
        kolea_iso::extract_minimal(&iso.path, &out, &request).map_err(|error| {
            MachineError::Launch(format!(
                "cannot make a minimal ISO of {}: {error}",
                iso.path.display()
            ))
        })?;
        Ok(out)
    });
    making
        .await
        .map_err(|error| MachineError::Harness(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_no_minimal_one_can_be_made_of_is_told_before() {
        let image = kolea_iso::sample::Sample::live("coreos").build();
        let found = kolea_iso::Pxeboot::find(&kolea_iso::Iso::new(image).unwrap()).unwrap();
        let iso = LiveIso::sample(Ok(found));
        let mut spec = MachineSpec {
            boot_from: Some(BootFrom::MinimalIso),
            ..MachineSpec::default()
        };
        let error = check(&spec, &iso).unwrap_err();
        assert_eq!(error, "/l.iso: it has no miniso.dat");
        spec.boot_from = Some(BootFrom::Iso);
        assert_eq!(check(&spec, &iso), Ok(()));
    }
}
