//! A build in a working directory, as its meta.json describes it (coreos-assembler, `src/v1.json`).

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use kolea_model::Sectors;
use serde::Deserialize;

use crate::workdir::Workdir;

/// A build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its id, such as `41.20260101.0.0`.
    pub id: String,
    /// What was built, such as `fedora-coreos`.
    pub name: String,
    /// The stream it was built for, if its container says so.
    pub stream: Option<String>,
    /// Where it and its meta.json are.
    pub dir: PathBuf,
    images: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Meta {
    buildid: String,
    name: String,
    #[serde(default)]
    images: HashMap<String, Image>,
    #[serde(default, rename = "coreos-assembler.oci-imported-labels")]
    labels: HashMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
struct Builds {
    builds: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
}

impl Build {
    /// The build of that id, or that many before the latest; without one, the latest, if there is any for the architecture.
    pub fn find(workdir: &Workdir, id: Option<&str>, arch: &str) -> anyhow::Result<Option<Build>> {
        let builds = workdir.builds();
        if !builds.is_dir() {
            bail!(
                "{} is no working directory of cosa or nosa: it has no directory `builds`",
                workdir.path.display()
            );
        }
        let (name, asked) = match id {
            Some(id) if id.starts_with('-') => (relative(&builds, id)?, true),
            Some(id) => (id.to_owned(), true),
            None => ("latest".to_owned(), false),
        };
        let dir = builds.join(&name).join(arch);
        let path = dir.join("meta.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !asked => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot read build `{name}` for {arch}: {}", path.display())
                });
            }
        };
        let meta: Meta = serde_json::from_str(&text)
            .with_context(|| format!("{} is no description of a build", path.display()))?;
        let stream = meta.labels.get("com.coreos.stream");
        Ok(Some(Build {
            id: meta.buildid,
            name: meta.name,
            stream: stream
                .and_then(|stream| stream.as_str())
                .filter(|stream| !stream.is_empty())
                .map(str::to_owned),
            dir,
            images: meta
                .images
                .into_iter()
                .map(|(kind, image)| (kind, image.path))
                .collect(),
        }))
    }

    /// The disk image for QEMU.
    pub fn qemu_image(&self) -> anyhow::Result<PathBuf> {
        self.artefact("qemu")
    }

    /// The live ISO, if the build has one.
    pub fn live_iso(&self) -> Option<anyhow::Result<PathBuf>> {
        self.optional("live-iso")
    }

    /// The disk image that live systems install from a server to a disk with such sectors: the one that was named, or the build's. For
    /// sectors of 4096 bytes it is rather the build's own, since few images are for both.
    pub fn metal_image_of(
        build: Option<&Build>,
        named: Option<&Path>,
        sectors: Sectors,
    ) -> Option<PathBuf> {
        let built = || build?.metal_image(sectors);
        let named = || named.map(Path::to_path_buf);
        match sectors {
            Sectors::Native4k => built().or_else(named),
            _ => named().or_else(built),
        }
    }

    /// The disk image for metal, if the build has one, and it was fetched; packed or not.
    fn metal_image(&self, sectors: Sectors) -> Option<PathBuf> {
        let kind = match sectors {
            Sectors::Native4k => "metal4k",
            _ => "metal",
        };
        let file = self.dir.join(self.images.get(kind)?);
        file.is_file().then_some(file)
    }

    /// The ostree container as a file, if the build has one.
    pub fn ociarchive(&self) -> Option<anyhow::Result<PathBuf>> {
        self.optional("ostree")
    }

    fn optional(&self, kind: &str) -> Option<anyhow::Result<PathBuf>> {
        self.images.contains_key(kind).then(|| self.artefact(kind))
    }

    /// An artefact that is there, and not compressed.
    fn artefact(&self, kind: &str) -> anyhow::Result<PathBuf> {
        let build = &self.id;
        let file = self.images.get(kind).ok_or_else(|| {
            anyhow!(
                "build {build} has no artefact `{kind}`: make it with `cosa osbuild {kind}` (`nosa buildextend-{kind}`), or name a file"
            )
        })?;
        let path = self.dir.join(file);
        const DECOMPRESS: [(&str, &str); 3] = [
            ("xz", "xz --decompress --keep"),
            ("gz", "gzip --decompress --keep"),
            ("zst", "zstd --decompress"),
        ];
        let suffix = path.extension().and_then(|suffix| suffix.to_str());
        let command = DECOMPRESS
            .iter()
            .find(|(known, _)| suffix == Some(*known))
            .map(|(_, command)| *command);
        if let Some(command) = command {
            // Beside the compressed file is where decompression leaves the other.
            let plain = path.with_extension("");
            if plain.is_file() {
                return Ok(plain);
            }
            bail!(
                "build {build} has its artefact `{kind}` compressed only: run `{command} {}`",
                path.display()
            );
        }
        if !path.is_file() {
            bail!(
                "build {build} has lost its artefact `{kind}`: there is no {}; fetch it with `cosa buildfetch --build {build} --artifact {kind}`, or build it anew",
                path.display()
            );
        }
        Ok(path)
    }
}

/// The id of the build that is `id` (`-1`, `-2`, …) before the latest. `builds.json` has the latest first.
fn relative(builds: &Path, id: &str) -> anyhow::Result<String> {
    let back: usize = id[1..]
        .parse()
        .map_err(|_| anyhow!("--build {id} is neither a build's id nor a number such as -1"))?;
    let path = builds.join("builds.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot look up --build {id}: cannot read {}",
            path.display()
        )
    })?;
    let list: Builds = serde_json::from_str(&text)
        .with_context(|| format!("{} is no list of builds", path.display()))?;
    let count = list.builds.len();
    list.builds
        .into_iter()
        .nth(back)
        .map(|entry| entry.id)
        .ok_or_else(|| {
            anyhow!(
                "there is no build {id}: {} has {count} build{}",
                path.display(),
                if count == 1 { "" } else { "s" }
            )
        })
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
