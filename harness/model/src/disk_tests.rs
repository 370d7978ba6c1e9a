//! Disks as kola writes them down.

use super::*;
use proptest::prelude::*;

#[test]
fn every_option_arrives() {
    let disk =
        DiskSpec::parse_additional("5G:channel=nvme,serial=target,wwn=18446744073709551615,512e");
    assert_eq!(
        disk,
        Ok(DiskSpec {
            size_gib: Some(5),
            channel: DiskChannel::Nvme,
            sectors: Sectors::Emulated512,
            multipath: false,
            serial: Some("target".to_owned()),
            wwn: Some(u64::MAX),
        })
    );
    let disk = DiskSpec::parse_primary(":mpath,4k").unwrap();
    assert!(disk.multipath && disk.sectors == Sectors::Native4k && disk.size_gib.is_none());
    assert_eq!(DiskSpec::parse_primary(""), Ok(DiskSpec::default()));
    assert_eq!(DiskSpec::parse_primary("20G").unwrap().size_gib, Some(20));
}

#[test]
fn faults_name_the_option_and_what_is_possible() {
    for (text, part) in [
        ("", "has no size"),
        (":mpath", "has no size"),
        ("5", "a whole number and G"),
        ("5M", "a whole number and G"),
        ("G", "a whole number and G"),
        ("1.5G", "a whole number and G"),
        ("+5G", "a whole number and G"),
        ("-5G", "a whole number and G"),
        (" 5G", "a whole number and G"),
        ("5g", "a whole number and G"),
        ("0G", "1G to"),
        ("99999999G", "1G to"),
        ("99999999999999999999G", "a whole number and G"),
        ("5G:", "unknown option \"\""),
        ("5G:mpath,", "unknown option \"\""),
        ("5G:mpath:4k", "more than one colon"),
        ("5G:sata", "unknown option \"sata\""),
        ("5G:channel=sata", "virtio, nvme and scsi"),
        ("5G:channel=", "virtio, nvme and scsi"),
        ("5G:channel", "without a value"),
        ("5G:mpath=yes", "it takes none"),
        ("5G:4k,512e", "keep one"),
        ("5G:4k,4k", "twice"),
        ("5G:serial=", "visible characters"),
        ("5G:serial=a\tb", "visible characters"),
        ("5G:serial=abcdefghijklmnopqrstu", "at most 20"),
        ("5G:wwn=0x10", "a decimal number"),
        ("5G:wwn=-1", "a decimal number"),
        ("5G:wwn=18446744073709551616", "a decimal number"),
        ("5G:mpath,channel=nvme", "always SCSI"),
        ("5G:mpath,channel=virtio", "always SCSI"),
    ] {
        let error = DiskSpec::parse_additional(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{text:?}: {error}");
    }
    assert!(DiskSpec::parse_additional("5G:mpath,serial=abcdefghijklmnopqrstu").is_ok());
}

fn disks() -> impl Strategy<Value = DiskSpec> {
    let channel = prop_oneof![
        Just(DiskChannel::Virtio),
        Just(DiskChannel::Nvme),
        Just(DiskChannel::Scsi)
    ];
    let sectors = prop_oneof![
        Just(Sectors::Native512),
        Just(Sectors::Native4k),
        Just(Sectors::Emulated512)
    ];
    let size = prop::option::of(1..=MOST_GIB);
    let serial = prop::option::of("[ -+.-9;-~]{1,20}");
    (
        size,
        channel,
        sectors,
        any::<bool>(),
        serial,
        any::<Option<u64>>(),
    )
        .prop_map(
            |(size_gib, channel, sectors, multipath, serial, wwn)| DiskSpec {
                size_gib,
                channel: if multipath {
                    DiskChannel::Virtio
                } else {
                    channel
                },
                sectors,
                multipath,
                serial,
                wwn,
            },
        )
}

proptest! {
    #[test]
    fn what_is_shown_is_read_again(disk in disks()) {
        prop_assert_eq!(DiskSpec::parse_primary(&disk.to_string()), Ok(disk));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = DiskSpec::parse_primary(&text);
    }

    #[test]
    fn what_is_read_is_shown_so_that_it_reads_the_same(
        text in "([0-9]{0,4}G?)?(:(channel=(nvme|scsi|virtio|x)?|4k|512e|mpath|serial=[a-z]{0,3}|wwn=[0-9]{0,3}|,){0,5})?",
    ) {
        if let Ok(disk) = DiskSpec::parse_primary(&text) {
            prop_assert_eq!(DiskSpec::parse_primary(&disk.to_string()), Ok(disk));
        }
    }
}
