//! What a Butane config may say: the keys of every version, with the names and the order they have in Ignition.
//!
//! Facts: Butane's `base/v*/schema.go` and `config/*/v*/schema.go`, Ignition's `config/v3_*/types/schema.go`. The order is that of
//! Ignition's structs, which is the order Butane writes JSON in.

use crate::field::{
    Emit, Field, Join, Key, Kind, Struct, bool, field, int, keyed, many, one, plain, text, texts,
};

/// The level that Go's types of Ignition 3.2.0 and before end at.
const LAST_OF_3_2: u8 = 3;

/// The root of a config of a variant that has nothing of its own: `flatcar`, `r4e`, `fiot`.
pub(crate) static ROOT: Struct = plain(&[
    VARIANT,
    VERSION,
    IGNITION_FIELD,
    KERNEL_ARGUMENTS_FIELD,
    PASSWD_FIELD,
    STORAGE_FIELD,
    SYSTEMD_FIELD,
]);

/// The root of a config of `fcos` and `nestos`.
pub(crate) static COREOS_ROOT: Struct = plain(&[
    VARIANT,
    VERSION,
    IGNITION_FIELD,
    KERNEL_ARGUMENTS_FIELD,
    PASSWD_FIELD,
    STORAGE_FIELD,
    SYSTEMD_FIELD,
    BOOT_DEVICE_FIELD,
    GRUB_FIELD,
]);

/// The root of a config of `openshift`.
pub(crate) static OPENSHIFT_ROOT: Struct = plain(&[
    VARIANT,
    VERSION,
    IGNITION_FIELD,
    KERNEL_ARGUMENTS_FIELD,
    PASSWD_FIELD,
    STORAGE_FIELD,
    SYSTEMD_FIELD,
    BOOT_DEVICE_FIELD,
    GRUB_FIELD,
    one("metadata", "", &METADATA),
    one("openshift", "", &OPENSHIFT),
]);

const VARIANT: Field = text("variant", "");
const VERSION: Field = text("version", "");
const IGNITION_FIELD: Field = one("ignition", "ignition", &IGNITION).emit(Emit::Always);
const KERNEL_ARGUMENTS_FIELD: Field =
    one("kernel_arguments", "kernelArguments", &KERNEL_ARGUMENTS).since(4);
const PASSWD_FIELD: Field = one("passwd", "passwd", &PASSWD);
const STORAGE_FIELD: Field = one("storage", "storage", &STORAGE);
const SYSTEMD_FIELD: Field = one("systemd", "systemd", &SYSTEMD);
const BOOT_DEVICE_FIELD: Field = one("boot_device", "", &BOOT_DEVICE).since(3);
const GRUB_FIELD: Field = one("grub", "", &GRUB).since(5);

pub(crate) static IGNITION: Struct = plain(&[
    one("config", "config", &IGNITION_CONFIG),
    one("proxy", "proxy", &PROXY).since(1),
    one("security", "security", &SECURITY),
    one("timeouts", "timeouts", &TIMEOUTS),
    // written by the translation, said at the root of the Butane config
    text("", "version").emit(Emit::Always),
]);

static IGNITION_CONFIG: Struct = plain(&[
    many("merge", "merge", &CONFIG_RESOURCE),
    one("replace", "replace", &CONFIG_RESOURCE),
]);

static PROXY: Struct = plain(&[
    text("http_proxy", "httpProxy"),
    text("https_proxy", "httpsProxy"),
    texts("no_proxy", "noProxy"),
]);

static SECURITY: Struct = plain(&[one("tls", "tls", &TLS)]);

static TLS: Struct = plain(&[many(
    "certificate_authorities",
    "certificateAuthorities",
    &CONFIG_RESOURCE,
)]);

static TIMEOUTS: Struct = plain(&[
    int("http_response_headers", "httpResponseHeaders"),
    int("http_total", "httpTotal"),
]);

/// A resource that had nothing but a source and a hash in the first version.
pub(crate) static CONFIG_RESOURCE: Struct = keyed(
    &[
        text("compression", "compression").since(1),
        many("http_headers", "httpHeaders", &HTTP_HEADER).since(1),
        text("source", "source"),
        text("inline", "").since(1),
        text("local", "").since(1),
        one("verification", "verification", &VERIFICATION),
    ],
    "source",
);

/// What a file contains, what is appended to it, and key files.
pub(crate) static RESOURCE: Struct = keyed(
    &[
        text("compression", "compression"),
        many("http_headers", "httpHeaders", &HTTP_HEADER).since(1),
        text("source", "source"),
        text("inline", ""),
        text("local", "").since(1),
        one("verification", "verification", &VERIFICATION),
    ],
    "source",
);

static HTTP_HEADER: Struct = keyed(
    &[
        text("name", "name").emit(Emit::Always),
        text("value", "value"),
    ],
    "name",
);

static VERIFICATION: Struct = plain(&[text("hash", "hash")]);

static KERNEL_ARGUMENTS: Struct = plain(&[
    texts("should_exist", "shouldExist").join(Join::BySharedKey),
    texts("should_not_exist", "shouldNotExist").join(Join::BySharedKey),
]);

static PASSWD: Struct = plain(&[
    many("groups", "groups", &PASSWD_GROUP),
    many("users", "users", &PASSWD_USER),
]);

static PASSWD_GROUP: Struct = keyed(
    &[
        int("gid", "gid"),
        text("name", "name").emit(Emit::Always),
        text("password_hash", "passwordHash"),
        bool("should_exist", "shouldExist").since(2),
        bool("system", "system"),
    ],
    "name",
);

pub(crate) static PASSWD_USER: Struct = keyed(
    &[
        text("gecos", "gecos"),
        texts("groups", "groups"),
        text("home_dir", "homeDir"),
        text("name", "name").emit(Emit::Always),
        bool("no_create_home", "noCreateHome"),
        bool("no_log_init", "noLogInit"),
        bool("no_user_group", "noUserGroup"),
        text("password_hash", "passwordHash"),
        text("primary_group", "primaryGroup"),
        texts("ssh_authorized_keys", "sshAuthorizedKeys"),
        texts("ssh_authorized_keys_local", "").since(5),
        text("shell", "shell"),
        bool("should_exist", "shouldExist").since(2),
        bool("system", "system"),
        int("uid", "uid"),
    ],
    "name",
);

static STORAGE: Struct = plain(&[
    many("directories", "directories", &DIRECTORY).join(Join::BySharedKey),
    many("disks", "disks", &DISK),
    many("files", "files", &FILE).join(Join::BySharedKey),
    many("filesystems", "filesystems", &FILESYSTEM),
    many("links", "links", &LINK).join(Join::BySharedKey),
    many("luks", "luks", &LUKS).since(2),
    many("raid", "raid", &RAID),
    many("trees", "", &TREE).since(1),
]);

const GROUP: Field = one("group", "group", &OWNER);
const OVERWRITE: Field = bool("overwrite", "overwrite");
const PATH: Field = text("path", "path").emit(Emit::Always);
const USER: Field = one("user", "user", &OWNER);

static OWNER: Struct = plain(&[int("id", "id"), text("name", "name")]);

pub(crate) static DIRECTORY: Struct =
    keyed(&[GROUP, OVERWRITE, PATH, USER, int("mode", "mode")], "path");

pub(crate) static FILE: Struct = keyed(
    &[
        GROUP,
        OVERWRITE,
        PATH,
        USER,
        many("append", "append", &RESOURCE).join(Join::Appended),
        one("contents", "contents", &RESOURCE),
        int("mode", "mode"),
    ],
    "path",
);

static LINK: Struct = keyed(
    &[
        GROUP,
        OVERWRITE,
        PATH,
        USER,
        bool("hard", "hard"),
        text("target", "target").emit(Emit::AlwaysUntil(LAST_OF_3_2)),
    ],
    "path",
);

static DISK: Struct = keyed(
    &[
        text("device", "device").emit(Emit::Always),
        many("partitions", "partitions", &PARTITION),
        bool("wipe_table", "wipeTable"),
    ],
    "device",
);

static PARTITION: Struct = Struct {
    fields: &[
        text("guid", "guid"),
        text("label", "label"),
        int("number", "number").emit(Emit::IfNotZero),
        bool("resize", "resize").since(2),
        bool("should_exist", "shouldExist"),
        int("size_mib", "sizeMiB"),
        int("start_mib", "startMiB"),
        text("type_guid", "typeGuid"),
        bool("wipe_partition_entry", "wipePartitionEntry"),
    ],
    key: Key::Partition,
};

pub(crate) static FILESYSTEM: Struct = keyed(
    &[
        text("device", "device").emit(Emit::Always),
        text("format", "format"),
        text("label", "label"),
        texts("mount_options", "mountOptions")
            .since(1)
            .join(Join::Appended),
        texts("options", "options").join(Join::Appended),
        text("path", "path"),
        text("uuid", "uuid"),
        bool("wipe_filesystem", "wipeFilesystem"),
        bool("with_mount_unit", "").since(1),
    ],
    "device",
);

static LUKS: Struct = keyed(
    &[
        one("cex", "cex", &CEX).since(6),
        one("clevis", "clevis", &CLEVIS).emit(Emit::PointerUntil(LAST_OF_3_2)),
        text("device", "device"),
        bool("discard", "discard").since(5),
        one("key_file", "keyFile", &RESOURCE),
        text("label", "label"),
        text("name", "name").emit(Emit::Always),
        texts("open_options", "openOptions")
            .since(5)
            .join(Join::Appended),
        texts("options", "options").join(Join::Appended),
        text("uuid", "uuid"),
        bool("wipe_volume", "wipeVolume"),
    ],
    "name",
);

static CEX: Struct = plain(&[bool("enabled", "enabled")]);

static CLEVIS: Struct = plain(&[
    one("custom", "custom", &CLEVIS_CUSTOM).emit(Emit::PointerUntil(LAST_OF_3_2)),
    many("tang", "tang", &TANG),
    int("threshold", "threshold"),
    bool("tpm2", "tpm2"),
]);

static CLEVIS_CUSTOM: Struct = plain(&[
    text("config", "config").emit(Emit::AlwaysUntil(LAST_OF_3_2)),
    bool("needs_network", "needsNetwork"),
    text("pin", "pin").emit(Emit::AlwaysUntil(LAST_OF_3_2)),
]);

static TANG: Struct = keyed(
    &[
        text("advertisement", "advertisement").since(5),
        text("thumbprint", "thumbprint"),
        text("url", "url").emit(Emit::IfNotZero),
    ],
    "url",
);

static RAID: Struct = keyed(
    &[
        texts("devices", "devices"),
        text("level", "level").emit(Emit::AlwaysUntil(LAST_OF_3_2)),
        text("name", "name").emit(Emit::Always),
        texts("options", "options").join(Join::Appended),
        int("spares", "spares"),
    ],
    "name",
);

pub(crate) static TREE: Struct = plain(&[
    one("group", "", &OWNER).since(7),
    text("local", ""),
    text("path", ""),
    one("user", "", &OWNER).since(7),
    int("file_mode", "").since(7),
    int("dir_mode", "").since(7),
]);

static SYSTEMD: Struct = plain(&[many("units", "units", &UNIT)]);

pub(crate) static UNIT: Struct = keyed(
    &[
        text("contents", "contents"),
        text("contents_local", "").since(5),
        many("dropins", "dropins", &DROPIN),
        bool("enabled", "enabled"),
        bool("mask", "mask"),
        text("name", "name").emit(Emit::Always),
    ],
    "name",
);

pub(crate) static DROPIN: Struct = keyed(
    &[
        text("contents", "contents"),
        text("contents_local", "").since(5),
        text("name", "name").emit(Emit::Always),
    ],
    "name",
);

static BOOT_DEVICE: Struct = plain(&[
    text("layout", ""),
    one("luks", "", &BOOT_DEVICE_LUKS),
    one("mirror", "", &BOOT_DEVICE_MIRROR),
]);

static BOOT_DEVICE_LUKS: Struct = plain(&[
    // named as in Ignition, since the volume of the root filesystem takes them as they are
    one("cex", "cex", &CEX).since(6),
    bool("discard", "discard").since(5),
    text("device", "device").since(6),
    many("tang", "tang", &TANG),
    int("threshold", "threshold"),
    bool("tpm2", "tpm2"),
]);

static BOOT_DEVICE_MIRROR: Struct = plain(&[texts("devices", "")]);

static GRUB: Struct = plain(&[many("users", "", &GRUB_USER)]);

static GRUB_USER: Struct = plain(&[text("name", ""), text("password_hash", "")]);

static METADATA: Struct = plain(&[text("name", ""), field("labels", "", Kind::Labels)]);

static OPENSHIFT: Struct = plain(&[
    texts("kernel_arguments", ""),
    texts("extensions", ""),
    bool("fips", ""),
    text("kernel_type", ""),
]);
