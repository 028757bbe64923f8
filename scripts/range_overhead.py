#!/usr/bin/env python3
"""What the pool costs on a render job, and how two miners add up. Figures are of this machine; take the ratios.

    scripts/range_overhead.py SCENE.glb [WIDTH HEIGHT SAMPLES]      1920 1080 2 by default; needs target/release

1. CPU seconds of `lode-miner render --device cpu` on the picture: the work itself.
2. The same as a job with four miners on loopback: CPU seconds of the miners and of the pool, of which its audits, whose keys
   are trusted from the start here (the steady rate).
3. One miner pinned to core 0, then two, pinned to core 0 and core 1: seconds from submission to the finished picture.
"""
import json, os, shutil, subprocess, sys, tempfile, time, urllib.request

BIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "target", "release")
TICK = os.sysconf("SC_CLK_TCK")


def cpu(stat):
    """User and system seconds of a /proc stat file."""
    with open(stat) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_of(pid, named=""):
    """CPU seconds of a process, or of its threads whose names begin so."""
    if not named:
        return cpu(f"/proc/{pid}/stat")
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            if file.read().startswith(named):
                total += cpu(f"/proc/{pid}/task/{task}/stat")
    return total


class Pool:
    def __init__(self, cores="0,1"):
        self.data = tempfile.mkdtemp(prefix="lode-overhead-")
        config = os.path.join(self.data, "lode.toml")
        with open(config, "w") as file:
            file.write("[audit]\nclean_batches = 0\n[range]\nshare_s = 5\n")
        command = ["taskset", "-c", cores, f"{BIN}/lode-pool", "serve", "--config", config, "--data", f"{self.data}/pool"]
        command += ["--stratum", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        self.log = open(f"{self.data}/pool.log", "w")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.at = json.loads(self.process.stdout.readline())
        with open(f"{self.data}/pool/admin.token") as file:
            self.admin = file.read().strip()
        self.key = self.call("admin/sponsors", {"name": "acme"}, self.admin)["key"]
        deposit = {"sponsor": "acme", "asset": "CREDIT", "amount": "1000000000", "reference": "r"}
        self.call("admin/deposits", deposit, self.admin)

    def call(self, path, body=None, key=None):
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.at['http']}/api/v1/{path}", data)
        request.add_header("Authorization", f"Bearer {key or self.key}")
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def miner(self, name, cores="0,1"):
        command = ["taskset", "-c", cores, f"{BIN}/lode-miner", "--url", f"stratum+tcp://{self.at['stratum']}"]
        command += ["--user", f"{name}.rig", "--kinds", "render", "--device", "cpu", "--key", f"{self.data}/{name}.key"]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def render(self, scene, width, height, samples, miners):
        """Submits the picture with the miners there; gives seconds, and CPU seconds of miners, pool and audits."""
        with open(scene, "rb") as file:
            digest = self.call("blobs", file.read())["digest"]
        running = [self.miner(f"m{number}", cores) for number, cores in enumerate(miners)]
        time.sleep(3)
        spec = {"scene": digest, "width": width, "height": height, "samples": samples}
        job = {"kind": "render", "spec": spec, "budget": 1000000, "asset": "CREDIT"}
        self.call("quotes", job)  # what the sponsor's scene takes to be prepared is not the miners' time
        before = [cpu_of(self.process.pid), sum(cpu_of(miner.pid) for miner in running)]
        begin = time.time()
        job = self.call("jobs", job)
        job = job.get("job", job)["id"]
        while (state := self.call(f"jobs/{job}")["state"]) not in ("done", "expired", "cancelled", "quarantined"):
            time.sleep(0.2)
        took = time.time() - begin
        assert state == "done", state
        pool, work = cpu_of(self.process.pid) - before[0], sum(cpu_of(miner.pid) for miner in running) - before[1]
        audits = cpu_of(self.process.pid, "audit")
        for miner in running:
            miner.terminate()
            miner.wait()
        return took, work, pool, audits

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.data)


def alone(scene, width, height, samples):
    before = os.times()
    size = ["--width", str(width), "--height", str(height), "--samples", str(samples)]
    out = ["-o", os.path.join(tempfile.gettempdir(), "lode-overhead.png")]
    subprocess.run([f"{BIN}/lode-miner", "render", scene, *out, "--device", "cpu", *size], check=True, capture_output=True)
    after = os.times()
    return (after.children_user + after.children_system) - (before.children_user + before.children_system)


def main():
    scene = sys.argv[1]
    width, height, samples = map(int, sys.argv[2:5] or (1920, 1080, 2))
    work = alone(scene, width, height, samples)
    print(f"alone          {work:7.2f} CPU s")
    pool = Pool()
    took, miners, cost, audits = pool.render(scene, width, height, samples, ["0,1"] * 4)
    pool.stop()
    print(f"four miners    {miners:7.2f} CPU s, {100 * (miners / work - 1):+.1f} % of alone, in {took:.1f} s")
    print(f"the pool       {cost:7.2f} CPU s, {100 * cost / miners:.2f} % of the miners', of which audits {audits:.2f} s, {100 * audits / miners:.2f} %")
    one = Pool()
    single = one.render(scene, width, height, samples, ["0"])[0]
    one.stop()
    two = Pool()
    double = two.render(scene, width, height, samples, ["0", "1"])[0]
    two.stop()
    print(f"one on core 0  {single:7.2f} s; two on cores 0 and 1 {double:.2f} s: {double / single:.3f} of it")


main()
