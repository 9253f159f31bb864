use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use sandboxed_domain::harness::registry;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A home with a login of the first harness that has one, and workspaces.
struct Place {
    root: TempDir,
    harness: &'static dyn Harness,
}

impl Place {
    fn new() -> Self {
        let harness = subject();
        let place = Self { root: tempfile::tempdir().unwrap(), harness };
        fs::create_dir_all(place.home_file().parent().unwrap()).unwrap();
        place.login(1);
        place
    }

    fn file(&self) -> &'static LoginFile {
        self.harness.login().unwrap()
    }

    fn home_file(&self) -> PathBuf {
        self.root.path().join("home").join(self.file().directory).join(self.file().name)
    }

    /// The user's own CLI has renewed the login so often.
    fn login(&self, renewed: i64) {
        let text = whole(renewed).to_string();
        fs::write(self.home_file(), text).unwrap();
    }

    fn user(&self) -> Value {
        serde_json::from_slice(&fs::read(self.home_file()).unwrap()).unwrap()
    }

    fn settings(&self) -> LoginSettings {
        let home = self.root.path().join("home").display().to_string();
        LoginSettings::parse(|name| match name {
            "SANDBOXED_SH_SHARE_LOGINS" => Some("all".to_owned()),
            "SANDBOXED_SH_LOGIN_HOME" => Some(home.clone()),
            _ => None,
        })
        .unwrap()
    }

    fn borrower(&self, name: &str, moment: Moment) -> Borrower {
        let notes = self.root.path().join(name);
        let missions = notes.join("missions");
        fs::create_dir_all(&missions).unwrap();
        Borrower { missions, notes, moment }
    }

    fn lent(&self, name: &str) -> PathBuf {
        self.borrower(name, Moment::Work).directory(self.harness).join(self.file().name)
    }

    /// As a CLI in a workspace does it.
    fn renewed_in(&self, name: &str, renewed: i64) {
        fs::write(self.lent(name), part(renewed).to_string()).unwrap();
    }

    fn carry(&self, borrowers: &[(&str, Moment)]) -> Result<(), ApiError> {
        let borrowers: Vec<_> = borrowers.iter().map(|(name, moment)| self.borrower(name, *moment)).collect();
        carry(&self.settings(), self.harness, &borrowers)
    }
}

/// The harness of these tests: one of whose file a part is lent.
fn subject() -> &'static dyn Harness {
    let lends_a_part = |file: &LoginFile| file.lent.len() == 1;
    *registry().iter().find(|harness| harness.login().is_some_and(lends_a_part)).unwrap()
}

fn part(renewed: i64) -> Value {
    json!({ subject().login().unwrap().lent[0]: tokens(renewed) })
}

fn whole(renewed: i64) -> Value {
    let mut whole = part(renewed);
    whole["other"] = json!({"mine": "m"});
    whole
}

fn tokens(renewed: i64) -> Value {
    json!({"accessToken": format!("a{renewed}"), "refreshToken": format!("r{renewed}"), "expiresAt": renewed * 1000})
}

fn at_work(names: &[&'static str]) -> Vec<(&'static str, Moment)> {
    names.iter().map(|name| (*name, Moment::Work)).collect()
}

#[test]
fn what_one_workspace_renews_the_user_and_the_others_have() {
    let place = Place::new();
    chown(place.home_file(), Some(1234), Some(4321)).unwrap();
    place.carry(&[("a", Moment::Start), ("b", Moment::Start)]).unwrap();
    for name in ["a", "b"] {
        let seen = fs::metadata(place.lent(name)).unwrap();
        assert_eq!((seen.mode() & 0o7777, seen.uid()), (0o600, nix::unistd::getuid().as_raw()));
        let text = fs::read_to_string(place.lent(name)).unwrap();
        assert!(text.contains("r1") && !text.contains("mine"), "{text}");
    }
    place.renewed_in("b", 2);
    place.carry(&at_work(&["a", "b"])).unwrap();
    assert_eq!(place.user(), whole(2));
    let seen = fs::metadata(place.home_file()).unwrap();
    assert_eq!((seen.mode() & 0o7777, seen.uid(), seen.gid()), (0o600, 1234, 4321));
    assert!(fs::read_to_string(place.lent("a")).unwrap().contains("r2"));

    place.login(3);
    place.carry(&at_work(&["a", "b"])).unwrap();
    for name in ["a", "b"] {
        assert!(fs::read_to_string(place.lent(name)).unwrap().contains("r3"), "{name}");
    }
    place.renewed_in("a", 4);
    place.carry(&[("a", Moment::End)]).unwrap();
    assert_eq!(place.user(), whole(4), "the last word of a mission that leaves");
    assert!(!place.lent("a").exists() && !place.borrower("a", Moment::Work).owes(place.harness));
}

#[test]
fn what_is_older_or_no_login_never_comes_home() {
    let place = Place::new();
    place.login(5);
    place.carry(&[("a", Moment::Start)]).unwrap();
    let before = fs::read(place.home_file()).unwrap();
    let secret = place.root.path().join("secret");
    fs::write(&secret, part(9).to_string()).unwrap();
    let large = part(9).to_string().replace("a9", &"x".repeat(300_000));
    let tricks: [&dyn Fn(&Path); 7] = [
        &|file| fs::write(file, part(4).to_string()).unwrap(),
        &|file| fs::write(file, "{\"part\": {\"accessTo").unwrap(),
        &|file| fs::write(file, &large).unwrap(),
        &|file| fs::remove_file(file).unwrap(),
        &|file| symlink(&secret, file).unwrap(),
        &|file| {
            fs::remove_file(file).unwrap();
            nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        },
        &|file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        },
    ];
    for (index, trick) in tricks.iter().enumerate() {
        trick(&place.lent("a"));
        place.carry(&at_work(&["a"])).unwrap();
        assert_eq!(fs::read(place.home_file()).unwrap(), before, "trick {index}");
    }
    assert!(place.carry(&[("a", Moment::Start)]).is_err(), "a directory in its place is told");
    fs::remove_dir(place.lent("a")).unwrap();
    place.carry(&[("a", Moment::Start)]).unwrap();
    assert!(fs::read_to_string(place.lent("a")).unwrap().contains("r5"));
}

#[test]
fn a_directory_that_became_a_link_leads_nowhere() {
    let place = Place::new();
    place.carry(&[("a", Moment::Start)]).unwrap();
    let outside = place.root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let directory = place.lent("a").parent().unwrap().to_owned();
    fs::rename(&directory, place.root.path().join("moved")).unwrap();
    symlink(&outside, &directory).unwrap();
    place.login(2);
    place.carry(&at_work(&["a"])).unwrap();
    assert!(place.carry(&[("a", Moment::Start)]).is_err());
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn a_user_who_logs_out_takes_the_login_from_all() {
    let place = Place::new();
    place.carry(&[("a", Moment::Start)]).unwrap();
    fs::remove_file(place.home_file()).unwrap();
    place.carry(&at_work(&["a"])).unwrap();
    assert!(!place.lent("a").exists() && !place.home_file().exists());
    let error = place.carry(&[("a", Moment::Start)]).unwrap_err();
    assert_eq!((error.code, error.hint.contains(place.file().command)), (ErrorCode::BackendNotReady, true));
}

#[test]
fn a_link_at_home_stays_and_what_it_points_to_is_renewed() {
    let place = Place::new();
    let real = place.root.path().join("dotfiles");
    fs::rename(place.home_file(), &real).unwrap();
    symlink(&real, place.home_file()).unwrap();
    place.carry(&[("a", Moment::Start)]).unwrap();
    place.renewed_in("a", 2);
    place.carry(&at_work(&["a"])).unwrap();
    assert!(fs::symlink_metadata(place.home_file()).unwrap().is_symlink());
    assert!(fs::read_to_string(real).unwrap().contains("r2"));
}

#[test]
fn a_mission_is_led_to_the_file_only_while_it_is_lent() {
    let root = tempfile::tempdir().unwrap();
    let link = (root.path().join(".x/auth.json").display().to_string(), "/lent/auth.json".to_owned());
    let placed = Placed { variable: None, links: vec![link] };
    lead(&placed, root.path(), false).unwrap();
    lead(&placed, root.path(), true).unwrap();
    assert_eq!(fs::read_link(root.path().join(".x/auth.json")).unwrap(), Path::new("/lent/auth.json"));
    lead(&placed, root.path(), false).unwrap();
    assert!(!root.path().join(".x/auth.json").is_symlink());
    fs::write(root.path().join(".x/auth.json"), "own").unwrap();
    lead(&placed, root.path(), false).unwrap();
    assert!(root.path().join(".x/auth.json").exists(), "what is not ours stays");
    assert_eq!(fs::metadata(root.path().join(".x")).unwrap().permissions().mode() & 0o777, 0o700);
}
