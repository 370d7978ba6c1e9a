use std::path::Path;
use std::time::Duration;

use kolea_machine::{GuestFacts, Template};

use super::super::key::testing::key;
use super::super::names::{MANIFEST, STATE};
use super::*;
use crate::files::names::RAM;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// As another process sees it.
    fn store(&self, limit_mib: u64) -> Store {
        Store::open(&TemplateCache {
            dir: self.path("templates"),
            limit_mib,
        })
        .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn template(&self, key: &TemplateKey) -> PathBuf {
        self.path("templates").join(key.name())
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path("templates"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "cache-lock")
            .collect();
        names.sort();
        names
    }
}

/// What a machine leaves to become a template of about that size.
fn fill(files: &MachineFiles, mib: usize) {
    fs::write(files.path().join(RAM), vec![1; mib << 20]).unwrap();
    fs::write(files.path().join(STATE), "state").unwrap();
}

fn publish(store: &Store, key: &TemplateKey, mib: usize) -> Frozen {
    let files = store.partial().unwrap();
    fill(&files, mib);
    let manifest = Manifest::write(files.path(), key.clone(), GuestFacts::default()).unwrap();
    store.publish(files, manifest).unwrap()
}

fn used_ago(dir: &Path, seconds: u64) {
    let lock = File::open(dir.join(LOCK)).unwrap();
    let time = SystemTime::now() - Duration::from_secs(seconds);
    lock.set_modified(time).unwrap();
}

#[test]
fn what_is_published_is_found_by_its_key_only() {
    let bench = Bench::new();
    let store = bench.store(100);
    assert!(store.find(&key("a")).is_none());
    let ours = publish(&store, &key("a"), 2);
    assert_eq!(ours.dir(), bench.template(&key("a")));
    assert!((2..4).contains(&ours.disk_mib()), "{}", ours.disk_mib());
    drop(ours);
    let found = bench.store(100).find(&key("a")).unwrap();
    assert_eq!(found.key(), key("a").name());
    assert!(store.find(&key("b")).is_none());
    use std::os::unix::fs::PermissionsExt;
    for dir in [bench.path("templates"), bench.template(&key("a"))] {
        let mode = fs::metadata(dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
fn the_loser_uses_the_winners() {
    let bench = Bench::new();
    let (one, other) = (bench.store(100), bench.store(100));
    let winner = publish(&one, &key("a"), 1);
    let loser = publish(&other, &key("a"), 2);
    assert_eq!(loser.dir(), winner.dir());
    assert_eq!(loser.manifest().created, winner.manifest().created);
    assert_eq!(bench.names(), [key("a").name()]);
}

#[test]
fn damaged_templates_are_removed_and_not_used() {
    // A file, and what it is cut to; removed if none.
    let damages = [
        (RAM, Some("short")),
        (STATE, Some("")),
        (STATE, Some("stale")),
        (STATE, None),
        (MANIFEST, Some("{")),
        (MANIFEST, None),
    ];
    for damage in damages {
        let bench = Bench::new();
        let store = bench.store(100);
        drop(publish(&store, &key("a"), 1));
        let file = bench.template(&key("a")).join(damage.0);
        match damage.1 {
            Some(text) => fs::write(file, text).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        assert!(store.find(&key("a")).is_none(), "{damage:?}");
        assert!(bench.names().is_empty(), "{damage:?}");
        drop(publish(&store, &key("a"), 1));
        assert!(store.find(&key("a")).is_some(), "{damage:?}");
    }
}

#[test]
fn what_somebody_still_uses_is_not_removed_though_it_is_damaged() {
    let bench = Bench::new();
    let store = bench.store(100);
    let used = publish(&store, &key("a"), 1);
    fs::write(used.dir().join(STATE), "").unwrap();
    assert!(store.find(&key("a")).is_none());
    assert!(used.dir().exists());
    // Its place is taken: another is for one run only.
    let own = publish(&store, &key("a"), 1);
    assert!(own.ends_with_run());
    let dir = own.dir().to_owned();
    drop(own);
    assert!(!dir.exists());
}

#[test]
fn what_dead_runs_left_is_removed_and_what_living_ones_make_is_not() {
    let bench = Bench::new();
    let store = bench.store(100);
    let alive = store.partial().unwrap();
    let dead = store.partial().unwrap();
    fill(&dead, 1);
    // A process that is killed unlocks, and removes nothing.
    let path = dead.path().to_owned();
    std::mem::forget(dead);
    unlock(&path);
    let strangers = bench.path("templates").join("photos");
    fs::create_dir(&strangers).unwrap();

    bench.store(100);
    assert!(!path.exists());
    assert!(alive.path().exists());
    assert!(strangers.exists());
}

/// Lets go of a lock that was leaked: by the only descriptor that has it.
fn unlock(dir: &Path) {
    let lock = dir.join(LOCK).canonicalize().unwrap();
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target == lock) {
            let fd: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
            nix::unistd::close(fd).unwrap();
        }
    }
}

#[test]
fn the_least_recently_used_go_first_and_those_in_use_stay() {
    let bench = Bench::new();
    let store = bench.store(1000);
    for (name, ago) in [("a", 40), ("b", 30), ("c", 20), ("d", 10)] {
        drop(publish(&store, &key(name), 4));
        used_ago(&bench.template(&key(name)), ago);
    }
    // Using it makes it the youngest.
    drop(store.find(&key("a")).unwrap());
    let held = store.find(&key("b")).unwrap();
    used_ago(held.dir(), 100);
    bench.store(15);
    let left: Vec<bool> = ["a", "b", "c", "d"]
        .map(|name| bench.template(&key(name)).exists())
        .to_vec();
    assert_eq!(left, [true, true, false, true]);
    // Publishing keeps the limit as well.
    drop(publish(&bench.store(15), &key("e"), 4));
    assert!(!bench.template(&key("d")).exists());
    assert!(bench.template(&key("e")).exists());
}

#[test]
fn templates_of_another_qemu_are_removed() {
    let bench = Bench::new();
    let store = bench.store(100);
    drop(publish(&store, &key("a"), 1));
    drop(publish(&store, &key("b"), 1));
    let upgraded = TemplateKey {
        qemu: "11.0.0".to_owned(),
        machine_type: "pc-i440fx-11.0".to_owned(),
        ..key("a")
    };
    assert!(store.find(&upgraded).is_none());
    assert_eq!(bench.names(), [key("b").name()]);
}

#[test]
fn a_withdrawn_template_is_used_up_and_gone() {
    let bench = Bench::new();
    let store = bench.store(100);
    let template = publish(&store, &key("a"), 1);
    template.withdraw();
    assert!(store.find(&key("a")).is_none());
    assert!(template.dir().join(RAM).exists());
    drop(template);
    assert!(bench.names().is_empty());
}
