//! Which runs can be compared: those of the same distribution, architecture and accelerator, on successive builds of an
//! image.

use std::path::Path;

/// A stream of images, and what runs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    distro: String,
    arch: String,
    accelerator: Option<String>,
    image: String,
}

impl Stream {
    /// The stream that an image is of. Builds of an image differ in the numbers in their file names, and streams do not.
    /// Without an accelerator, any will do.
    pub fn new(distro: &str, arch: &str, accelerator: Option<&str>, image: &Path) -> Stream {
        let file = image.file_name().unwrap_or_default().to_string_lossy();
        Stream {
            distro: distro.to_owned(),
            arch: arch.to_owned(),
            accelerator: accelerator.map(str::to_owned),
            image: without_numbers(&file),
        }
    }

    /// Its name, `<distro>/<arch>/<accelerator>/<image>`.
    pub fn key(&self) -> String {
        let accelerator = self.accelerator.as_deref().unwrap_or("unknown");
        format!("{}/{}/{accelerator}/{}", self.distro, self.arch, self.image)
    }

    /// Whether `key` is its name.
    pub fn matches(&self, key: &str) -> bool {
        if self.accelerator.is_some() {
            return key == self.key();
        }
        let accelerator = key
            .strip_prefix(&format!("{}/{}/", self.distro, self.arch))
            .and_then(|rest| rest.strip_suffix(&format!("/{}", self.image)));
        accelerator.is_some_and(|accelerator| !accelerator.contains('/'))
    }
}

/// `fedora-coreos-40.20240101.qcow2` as `fedora-coreos-N.N.qcowN`.
fn without_numbers(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut in_number = false;
    for c in name.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            out.push(c);
        } else if !in_number {
            out.push('N');
        }
        in_number = digit;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_of_an_image_are_one_stream() {
        let key = |image: &str| Stream::new("fcos", "x86_64", Some("tcg"), Path::new(image)).key();
        assert_eq!(
            key("/a/fedora-coreos-40.20240101.3.0-qemu.x86_64.qcow2"),
            "fcos/x86_64/tcg/fedora-coreos-N.N.N.N-qemu.xN_N.qcowN"
        );
        assert_eq!(key("a-1.qcow2"), key("b/a-22.qcow2"));
        assert_ne!(key("a-1.qcow2"), key("b-1.qcow2"));
    }

    #[test]
    fn without_an_accelerator_any_will_do() {
        let own = Stream::new("fcos", "x86_64", Some("tcg"), Path::new("a1"));
        let any = Stream::new("fcos", "x86_64", None, Path::new("a2"));
        assert!(own.matches("fcos/x86_64/tcg/aN") && !own.matches("fcos/x86_64/kvm/aN"));
        assert!(any.matches("fcos/x86_64/tcg/aN") && any.matches("fcos/x86_64/kvm/aN"));
        assert!(!any.matches("fcos/x86_64/tcg/b/aN") && !any.matches("fcos/x86_64/aN"));
    }
}
