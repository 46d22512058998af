//! Programs in other languages with their packages: each as it is pinned, installed into `target/` once for all runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python that has the packages of a `requirements.txt`, which lists all of them, those that others need included.
pub fn python(requirements: &Path) -> PathBuf {
    let recipe = format!("{}{}", output(Command::new("python3").arg("--version")), fs::read_to_string(requirements).unwrap());
    let folder = once(requirements, "python", &recipe, |folder| {
        output(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
        output(Command::new(folder.join("bin/python")).args(install).arg(requirements));
        output(Command::new(folder.join("bin/python")).args(["-m", "pip", "check"]));
    });
    folder.join("bin/python")
}

/// The `node_modules` with the packages of a `package-lock.json`, beside which is its `package.json`.
pub fn node_modules(lock: &Path) -> PathBuf {
    let folder = once(lock, "npm", &fs::read_to_string(lock).unwrap(), |folder| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(lock.with_file_name(file), folder.join(file)).unwrap();
        }
        output(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder));
    });
    folder.join("node_modules")
}

/// Installs what `recipe` says, unless that very thing is there; nobody uses it before all of it is. Processes wait for each other.
fn once(manifest: &Path, kind: &str, recipe: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let name = manifest.parent().and_then(Path::file_name).unwrap().to_str().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{kind}"));
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let stamp = folder.join("recipe");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == recipe) {
        return folder;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    install(&folder);
    fs::write(stamp, recipe).unwrap();
    folder
}

/// What a program prints; it must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
