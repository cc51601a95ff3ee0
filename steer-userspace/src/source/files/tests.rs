//! Real directories, read again and again.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: NAME}\n";

fn service(name: &str) -> String {
    SERVICE.replace("NAME", name)
}

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::new(vec![self.0.path().to_owned()])
    }
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let services = snapshot.services.iter();
    services.map(|service| service.meta.name.clone()).collect()
}

fn read(reader: &mut Reader) -> Option<Vec<String>> {
    reader.read().unwrap().map(|snapshot| names(&snapshot))
}

fn errors(reader: &mut Reader) -> Vec<String> {
    let errors = reader.read().unwrap_err();
    assert!(errors.iter().all(|found| found.severity == Severity::Error));
    let says = |found: &Finding| {
        let place = found.position.clone().unwrap();
        let file = Path::new(&*place.file).file_name().unwrap_or_default();
        format!("{}:{} {}", file.display(), place.line, found.message)
    };
    errors.iter().map(says).collect()
}

#[test]
fn directories_are_read_with_all_below_but_hidden_files() {
    let directory = Directory::new();
    fs::create_dir_all(directory.path("below/further")).unwrap();
    fs::create_dir(directory.path(".git")).unwrap();
    directory.write("b.yaml", service("b"));
    directory.write("below/further/a.yml", service("a"));
    directory.write(
        "c.json",
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"c"}}"#,
    );
    for ignored in [".d.yaml", ".git/d.yaml", "d.txt", "README"] {
        directory.write(ignored, service("d"));
    }
    symlink("..", directory.path("below/up")).unwrap();
    assert_eq!(
        read(&mut directory.reader()).unwrap(),
        ["a", "b", "c"],
        "sorted, and the loop ends"
    );
}

#[test]
fn nothing_changed_means_nothing_new() {
    let directory = Directory::new();
    directory.write("a.yaml", service("a"));
    let mut reader = directory.reader();
    assert_eq!(read(&mut reader).unwrap(), ["a"]);
    assert_eq!(read(&mut reader), None);
    directory.write("a.yaml", service("b"));
    assert_eq!(read(&mut reader).unwrap(), ["b"], "the same size, at once");
    fs::remove_file(directory.path("a.yaml")).unwrap();
    assert_eq!(read(&mut reader).unwrap(), [""; 0]);
    assert_eq!(read(&mut reader), None);
}

#[test]
fn documents_that_did_not_change_are_kept() {
    let directory = Directory::new();
    let text = format!("{}---\n{}---\n{}", service("a"), service("b"), service("c"));
    directory.write("a.yaml", &text);
    let mut reader = directory.reader();
    let before = reader.read().unwrap().unwrap();
    directory.write("a.yaml", text.replace("name: b", "name: x"));
    let after = reader.read().unwrap().unwrap();
    assert_eq!(names(&after), ["a", "c", "x"]);
    assert!(Arc::ptr_eq(&before.services[0], &after.services[0]));
    assert!(Arc::ptr_eq(&before.services[2], &after.services[1]));
}

#[test]
fn a_broken_file_changes_nothing_until_it_is_mended() {
    let directory = Directory::new();
    directory.write("a.yaml", service("a"));
    directory.write("b.yaml", service("b"));
    let mut reader = directory.reader();
    assert_eq!(read(&mut reader).unwrap(), ["a", "b"]);
    directory.write("a.yaml", "kind: [\n");
    directory.write("c.yaml", service("c"));
    let found = errors(&mut reader);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("a.yaml:1 not valid YAML: "),
        "{found:?}"
    );
    assert_eq!(errors(&mut reader), found, "told again");
    directory.write("a.yaml", service("a"));
    assert_eq!(read(&mut reader).unwrap(), ["a", "b", "c"]);
    directory.write("a.yaml", "kind: [\n");
    errors(&mut reader);
    directory.write("a.yaml", service("a"));
    assert_eq!(
        read(&mut reader).unwrap(),
        ["a", "b", "c"],
        "mended is told, too"
    );
}

#[test]
fn an_object_that_is_there_twice_is_refused_with_both_places() {
    let directory = Directory::new();
    directory.write("a.yaml", service("a"));
    directory.write("b.yaml", service("a"));
    let found = errors(&mut directory.reader());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("b.yaml:1 Service default/a is there already, at "));
    assert!(found[0].ends_with("a.yaml:1:1"), "{found:?}");
}

#[test]
fn what_cannot_be_read_says_why() {
    let directory = Directory::new();
    let cases = [
        ("a.yaml", "a.yaml:0 cannot be read: it is a directory"),
        ("b.yaml", "b.yaml:0 cannot be read: it is a link to nothing"),
        ("c.yaml", "c.yaml:3 cannot be read: this is not UTF-8"),
        (
            "d.yaml",
            "d.yaml:0 cannot be read: it is neither a file nor a directory",
        ),
    ];
    fs::create_dir(directory.path("a.yaml")).unwrap();
    symlink("nowhere", directory.path("b.yaml")).unwrap();
    directory.write("c.yaml", b"a: 1\nb: 2\nc: \xff\n");
    symlink("/dev/null", directory.path("d.yaml")).unwrap();
    let expected: Vec<&str> = cases.iter().map(|(_, message)| *message).collect();
    assert_eq!(errors(&mut directory.reader()), expected);
    let mut reader = Reader::new(vec![directory.path("nowhere")]);
    assert_eq!(
        errors(&mut reader),
        ["nowhere:0 cannot be read: there is no such file or directory"]
    );
}

/// The superuser may read everything, so this is said by an error made by hand for them.
#[test]
fn files_of_others_say_who_must_act() {
    let directory = Directory::new();
    directory.write("a.yaml", service("a"));
    fs::set_permissions(directory.path("a.yaml"), fs::Permissions::from_mode(0o000)).unwrap();
    let finding = match fs::read(directory.path("a.yaml")) {
        Err(error) => unreadable(&directory.path("a.yaml"), &error),
        Ok(_) => unreadable(
            &directory.path("a.yaml"),
            &io::ErrorKind::PermissionDenied.into(),
        ),
    };
    assert_eq!(finding.message, "cannot be read: permission denied");
    assert_eq!(finding.help, "let the user that runs steer read it");
}

#[test]
fn an_empty_directory_is_a_warning() {
    let snapshot = Directory::new().reader().read().unwrap().unwrap();
    let codes: Vec<_> = snapshot.findings.iter().map(|found| found.code).collect();
    assert_eq!(codes, [codes::NO_CONFIGURATION]);
    assert_eq!(snapshot.findings[0].severity, Severity::Warning);
}

/// A mounted ConfigMap: links to `..data`, which is a link that is replaced as a whole.
#[test]
fn mounted_config_maps_are_read_once_and_follow_the_swap() {
    let directory = Directory::new();
    for (version, name) in [("..1", "a"), ("..2", "b")] {
        fs::create_dir(directory.path(version)).unwrap();
        directory.write(&format!("{version}/x.yaml"), service(name));
    }
    symlink("..1", directory.path("..data")).unwrap();
    symlink("..data/x.yaml", directory.path("x.yaml")).unwrap();
    let mut reader = directory.reader();
    assert_eq!(read(&mut reader).unwrap(), ["a"]);
    symlink("..2", directory.path("..new")).unwrap();
    fs::rename(directory.path("..new"), directory.path("..data")).unwrap();
    assert_eq!(read(&mut reader).unwrap(), ["b"]);
}
