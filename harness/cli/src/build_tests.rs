use super::*;

struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Fake {
        let fake = Fake(tempfile::tempdir().unwrap());
        std::fs::create_dir(fake.0.path().join("builds")).unwrap();
        fake
    }

    fn build(&self, id: &str, images: &str) {
        let dir = self.0.path().join("builds").join(id).join("x86_64");
        std::fs::create_dir_all(&dir).unwrap();
        let meta = format!(
            r#"{{"buildid": "{id}", "name": "fedora-coreos", "images": {images},
                "coreos-assembler.oci-imported-labels": {{"com.coreos.stream": "next", "x": null}}}}"#
        );
        std::fs::write(dir.join("meta.json"), meta).unwrap();
        std::fs::write(dir.join("there.qcow2"), "").unwrap();
    }

    fn find(&self, id: Option<&str>) -> Result<Option<Build>, String> {
        let workdir = Workdir {
            path: self.0.path().to_path_buf(),
        };
        Build::find(&workdir, id, "x86_64").map_err(|error| format!("{error:#}"))
    }
}

#[test]
fn a_build_is_found_by_its_id_or_from_the_latest_backwards() {
    let fake = Fake::new();
    let builds = r#"{"builds": [{"id": "3"}, {"id": "2"}], "schema-version": "1.0.0"}"#;
    std::fs::write(fake.0.path().join("builds/builds.json"), builds).unwrap();
    assert_eq!(fake.find(None), Ok(None));
    fake.build("2", "{}");
    fake.build("latest", "{}");
    let id = |id| fake.find(id).map(|build| build.unwrap().id);
    assert_eq!(id(None).unwrap(), "latest");
    assert_eq!(id(Some("latest")).unwrap(), "latest");
    assert_eq!(id(Some("2")).unwrap(), "2");
    assert_eq!(id(Some("-1")).unwrap(), "2");
    assert!(id(Some("-2")).unwrap_err().contains("there is no build -2"));
    assert!(id(Some("-x")).unwrap_err().contains("neither"));
    assert!(
        id(Some("7"))
            .unwrap_err()
            .contains("builds/7/x86_64/meta.json")
    );
    let build = fake.find(None).unwrap().unwrap();
    assert_eq!(build.stream.as_deref(), Some("next"));
}

#[test]
fn an_artefact_that_cannot_be_used_says_what_to_run() {
    let fake = Fake::new();
    let image = |images: &str| {
        fake.build("latest", images);
        let build = fake.find(None).unwrap().unwrap();
        build.qemu_image().map_err(|error| error.to_string())
    };
    let found = image(r#"{"qemu": {"path": "there.qcow2", "sha256": "…"}}"#).unwrap();
    assert!(found.ends_with("builds/latest/x86_64/there.qcow2"));
    // Whoever has decompressed it already has the other beside it.
    assert!(image(r#"{"qemu": {"path": "there.qcow2.xz"}}"#).is_ok());
    for (images, expected) in [
        ("{}", "has no artefact `qemu`"),
        (r#"{"qemu": {"path": "away.qcow2"}}"#, "buildfetch"),
        (
            r#"{"qemu": {"path": "away.qcow2.xz"}}"#,
            "run `xz --decompress",
        ),
        (
            r#"{"qemu": {"path": "away.qcow2.gz"}}"#,
            "run `gzip --decompress",
        ),
    ] {
        let error = image(images).unwrap_err();
        assert!(error.contains(expected), "{images}: {error}");
    }
    let build = fake.find(None).unwrap().unwrap();
    assert!(build.ociarchive().is_none() && build.live_iso().is_none());
}

#[test]
fn what_is_installed_from_a_server_is_made_for_the_sectors_of_the_disk() {
    let fake = Fake::new();
    let named = Path::new("named.img.lz4");
    let chosen = |images: &str, named, sectors| {
        fake.build("latest", images);
        let build = fake.find(None).unwrap();
        let chosen = Build::metal_image_of(build.as_ref(), named, sectors)?;
        Some(chosen.file_name()?.to_str()?.to_owned())
    };
    let both = r#"{"metal": {"path": "there.qcow2"}, "metal4k": {"path": "there4k.raw"}}"#;
    let (small, large) = (Sectors::default(), Sectors::Native4k);
    fake.build("latest", both);
    std::fs::write(fake.0.path().join("builds/latest/x86_64/there4k.raw"), "").unwrap();
    for (images, named, sectors, expected) in [
        (both, None, small, Some("there.qcow2")),
        (both, None, large, Some("there4k.raw")),
        (both, Some(named), small, Some("named.img.lz4")),
        (both, Some(named), large, Some("there4k.raw")),
        ("{}", Some(named), large, Some("named.img.lz4")),
        ("{}", None, large, None),
        // It was not fetched.
        (r#"{"metal": {"path": "away.raw.xz"}}"#, None, small, None),
    ] {
        let found = chosen(images, named, sectors);
        assert_eq!(
            found.as_deref(),
            expected,
            "{images}: {named:?}, {sectors:?}"
        );
    }
}

#[test]
fn what_is_no_build_is_an_error() {
    let fake = Fake::new();
    fake.build("latest", "7");
    assert!(
        fake.find(None)
            .unwrap_err()
            .contains("no description of a build")
    );
    let nothing = Workdir {
        path: fake.0.path().join("builds"),
    };
    let error = Build::find(&nothing, None, "x86_64").unwrap_err();
    assert!(error.to_string().contains("no working directory"));
}
