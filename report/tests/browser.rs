//! The page in a browser: every chart is drawn, and nothing is fetched.

mod sweep;

use report::{Choice, Data, page};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Before all other scripts: what goes wrong is noted.
const WATCH: &str = "<script>
const faults = [];
addEventListener('error', (e) => faults.push(e.message));
addEventListener('securitypolicyviolation', (e) => faults.push('wants ' + e.blockedURI));
</script>";

/// After all other scripts: what a visitor would see and do.
const PROBE: &str = r"<script>
setTimeout(() => {
  const seen = { charts: [] };
  for (const place of document.querySelectorAll('.chart')) {
    const chart = echarts.getInstanceByDom(place);
    const ink = () => {
      chart.getZr().flush();
      let sum = 0;
      for (const canvas of place.querySelectorAll('canvas')) {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 3; i < data.length; i += 4) sum += data[i] > 0;
      }
      return sum;
    };
    const series = chart.getOption().series;
    const last = series.length - 1;
    const before = ink();
    chart.dispatchAction({ type: 'showTip', seriesIndex: last, dataIndex: 0 });
    const tip = place.querySelector('.tip');
    chart.dispatchAction({ type: 'hideTip' });
    chart.dispatchAction({ type: 'legendUnSelect', name: series[0].name });
    seen.charts.push({ chart: place.closest('section').id, ink: before, hidden: ink(), tip: tip ? tip.textContent : '',
      legend: Boolean(chart.getOption().legend && chart.getOption().legend.length) });
  }
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.fetched = performance.getEntriesByType('resource').map((e) => e.name);
  seen.faults = faults;
  const probe = document.createElement('pre');
  probe.id = 'probe';
  // Without what HTML would write otherwise.
  probe.textContent = JSON.stringify(seen).replace(/[<>&\u00a0]/g, '?');
  document.body.append(probe);
}, 300);
</script></body>";

#[test]
fn a_browser_draws_every_chart() {
    let dir = tempfile::tempdir().expect("a directory");
    sweep::write(dir.path(), 73);
    let html = page(&Data::read(dir.path(), &Choice::default()).expect("a sweep"));
    let html = html.replacen("<meta charset=\"utf-8\">", &format!("<meta charset=\"utf-8\">{WATCH}"), 1);
    let end = html.rfind("</body>").expect("an end");
    let file = dir.path().join("page.html");
    std::fs::write(&file, format!("{}{PROBE}{}", &html[..end], &html[end + 7..])).expect("a file");
    let dom = chromium(&dir.path().join("profile"), &format!("file://{}", file.display()));
    let probe = dom.split("<pre id=\"probe\">").nth(1).and_then(|t| t.split('<').next());
    let probe = probe.unwrap_or_else(|| panic!("the page did not get to its end: {dom:.2000}"));
    let seen: Value = serde_json::from_str(probe).expect("JSON");
    assert_eq!(seen["faults"], serde_json::json!([]));
    assert_eq!(seen["fetched"], serde_json::json!([]));
    assert_eq!(seen["wide"], false, "the page is no wider than its window");
    let charts = seen["charts"].as_array().expect("charts");
    let names: Vec<_> = charts.iter().filter_map(|c| c["chart"].as_str()).collect();
    assert_eq!(names, report::Chart::ALL.map(report::Chart::name));
    for chart in charts {
        let ink = |when: &str| chart[when].as_u64().expect("pixels");
        assert!(ink("ink") > 3000, "{chart} is empty");
        assert!(chart["tip"].as_str().is_some_and(|t| t.len() > 10), "{chart} tells no numbers");
        assert!(
            chart["legend"] == false || ink("hidden") != ink("ink"),
            "the legend of {chart} hides nothing"
        );
    }
}

/// What a page became after its scripts ran.
fn chromium(profile: &std::path::Path, url: &str) -> String {
    let mut child = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--window-size=390,800"])
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--virtual-time-budget=5000", "--dump-dom", url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium: scripts/setup.sh installs it");
    let mut stdout = child.stdout.take().expect("its output");
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut stdout));
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().expect("its state").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("its end");
            panic!("the browser takes longer than 120 s");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    reader.join().expect("a reader").expect("text")
}
