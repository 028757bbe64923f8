//! `lode-demo`, what `make run` starts: a pool and one miner on this machine, and a sponsor that
//! submits one sample job of each kind through the JSON API. It shows how they come along, writes
//! the results to a folder, says who earned what, and keeps the pool serving until Ctrl-C.

mod programs;
mod show;
mod treasury;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lode_tests::render::Picture;
use lode_tests::scene;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use serde_json::{Value, json};

use programs::{Programs, Settings};
use treasury::Treasury;

/// Budget of each sample job, in CREDIT.
const BUDGET: u64 = 1_000_000;
/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A scene that Debian's assimp-testmodels has: a model of an engine, 121,496 triangles.
const SCENE: &str = "/usr/share/assimp/models/glTF2/2CylinderEngine-glTF-Binary/2CylinderEngine.glb";
/// What is rendered of it.
const PICTURE: Picture = Picture { width: 640, height: 480, samples: 32, max_depth: 8, seed: 1 };

/// What stopped the demonstration, for its user.
type Failure = String;

fn settings() -> Result<Settings, Failure> {
    let mut settings = Settings {
        data: PathBuf::from("lode-data"),
        out: PathBuf::from("out"),
        stratum: "0.0.0.0:3333".into(),
        http: "0.0.0.0:8080".into(),
        device: None,
        difficulty: 0.4,
        once: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or(format!("{option} takes a value"));
        match option.as_str() {
            "--once" => settings.once = true,
            "--data" => settings.data = value()?.into(),
            "--out" => settings.out = value()?.into(),
            "--stratum" => settings.stratum = value()?,
            "--http" => settings.http = value()?,
            "--device" => settings.device = Some(value()?).filter(|device| !device.is_empty()),
            "--difficulty" => {
                let text = value()?;
                settings.difficulty = text.parse().map_err(|_| format!("--difficulty takes a number, not {text:?}"))?;
            }
            other => {
                let known = "--once --data DIR --out DIR --stratum ADDR --http ADDR --device SEL --difficulty D";
                return Err(format!("{other} is not an option; there are {known}"));
            }
        }
    }
    Ok(settings)
}

fn main() -> ExitCode {
    match settings().and_then(|settings| run(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lode-demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> Result<(), Failure> {
    let mut programs = Programs::start(settings)?;
    let address = programs.http();
    show::step(&format!("pool      {address}   data in {}", settings.data.display()));
    show::step(&format!(
        "miner     --device {}   account demo-miner, log in {}/miner.log",
        programs.device,
        settings.data.display()
    ));
    let treasury = Treasury::open(&settings.data, &Api::anyone_at(&programs.http_address))?;
    treasury.fund(BUDGET)?;
    show::step(&format!("sponsor   {} with {BUDGET} CREDIT", treasury.name));
    hash_job(settings, &mut programs, &treasury)?;
    treasury.fund(BUDGET)?;
    render_job(settings, &mut programs, &treasury)?;
    println!("\ndashboard {address}\nledger    lode-pool audit --data {}", settings.data.display());
    if settings.once {
        return programs.stop();
    }
    println!(
        "\nServing until Ctrl-C. Point another rig here: lode-miner --url stratum+tcp://HOST:3333 --user NAME.rig"
    );
    programs.wait()
}

/// A search on a real recorded block template: three merkle branches, 4 + 4 extranonce bytes.
fn hash_job(settings: &Settings, programs: &mut Programs, treasury: &Treasury) -> Result<(), Failure> {
    let mut job = Vector::job_of_difficulty(settings.difficulty, BUDGET);
    job["name"] = json!("sample: a block header");
    let submitted = treasury.submit(&job)?;
    let id = submitted["id"].as_str().ok_or("the pool gave no job id")?.to_owned();
    let expected = show::number(&submitted["quote"]["work_expected"]);
    show::step(&format!("job       {id} hash, about {} on average, budget {BUDGET} CREDIT", show::hashes(expected)));
    let view = follow(programs, treasury, &id)?;
    let result = treasury.api.get(&format!("/jobs/{id}/result")).ok();
    let path = settings.out.join(format!("{id}-hash.json"));
    let text = serde_json::to_string_pretty(&result).map_err(|error| error.to_string())? + "\n";
    write(&path, text.as_bytes())?;
    println!("          hash {}", result["hash"].as_str().unwrap_or_default());
    show::earnings(&treasury.api, &view);
    Ok(())
}

/// A picture of a real scene, or of a made one where that is not installed.
fn render_job(settings: &Settings, programs: &mut Programs, treasury: &Treasury) -> Result<(), Failure> {
    let (name, file) = match std::fs::read(SCENE) {
        Ok(file) => ("2CylinderEngine.glb", file),
        Err(_) => ("a made room", scene::room(5)),
    };
    let digest = treasury.upload(&file)?;
    let mut job = PICTURE.job(&digest, BUDGET);
    job["name"] = json!(format!("sample: {name}"));
    job["spec"]["environment"] = json!({"color": [0.9, 0.95, 1.0]});
    let submitted = treasury.submit(&job)?;
    let id = submitted["id"].as_str().ok_or("the pool gave no job id")?.to_owned();
    let Picture { width, height, samples, .. } = PICTURE;
    println!();
    show::step(&format!(
        "job       {id} render of {name}, {width}x{height}, {samples} samples, budget {BUDGET} CREDIT"
    ));
    show::step(&format!("          {}/jobs/{id} shows it as it fills", programs.http()));
    let view = follow(programs, treasury, &id)?;
    let picture = treasury.api.download(&format!("/jobs/{id}/result"), &[]);
    if picture.status != 200 {
        return Err(format!("the pool answered {} for the picture", picture.status));
    }
    write(&settings.out.join(format!("{id}.png")), &picture.bytes)?;
    show::earnings(&treasury.api, &view);
    Ok(())
}

/// Writes a result and says where.
fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(path, content));
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    println!("\nresult    {}", path.display());
    Ok(())
}

/// Shows a job's progress until it is done; gives its last state.
fn follow(programs: &mut Programs, treasury: &Treasury, id: &str) -> Result<Value, Failure> {
    let mut line = show::Progress::begin();
    loop {
        programs.check()?;
        let view = treasury.api.get(&format!("/jobs/{id}")).ok();
        line.draw(&view);
        if !view["closed_at"].is_null() {
            line.end();
            return if view["state"] == "done" { Ok(view) } else { Err(format!("the job ended as {}", view["state"])) };
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
