// What Lighthouse says of the dashboard, signed in: performance, accessibility, best practices. Fetched by npx for this run
// alone, as nothing else needs it. Wants the release build and an idle machine; the desktop preset, as that is what hangs on a
// wall. The whole report goes to LIGHTHOUSE_REPORT, when set.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, expect, test } from '@playwright/test';
import { browser } from '../browser';
import { MonitorPage } from '../fixtures/monitor_page';
import { MonitorServer } from '../fixtures/server';

const VERSION = '12.8.2';
const CATEGORIES = ['performance', 'accessibility', 'best-practices'];

type Report = { categories: Record<string, { score: number }>; audits: Record<string, { score: number | null; title: string }> };

test('Lighthouse', async ({ page, context }) => {
  const server = await MonitorServer.start();
  const folder = mkdtempSync(join(tmpdir(), 'tickstock-lighthouse-'));
  try {
    const monitor = new MonitorPage(page, server);
    await monitor.open();
    const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
    await page.close();
    const headers = join(folder, 'headers.json');
    writeFileSync(headers, JSON.stringify({ Cookie: cookie }));
    const flags = [...(browser?.launchOptions?.args ?? []), '--headless=new'].join(' ');
    const output = join(folder, 'report.json');
    execFileSync(
      'npx',
      ['--yes', `lighthouse@${VERSION}`, `${server.url}/admin/websockets`, '--preset=desktop', '--quiet', '--output=json',
        `--output-path=${output}`, `--only-categories=${CATEGORIES.join(',')}`, `--extra-headers=${headers}`, `--chrome-flags=${flags}`],
      { env: { ...process.env, CHROME_PATH: browser?.launchOptions?.executablePath ?? chromium.executablePath() }, stdio: 'inherit' },
    );
    const report = JSON.parse(readFileSync(output, 'utf8')) as Report;
    if (process.env.LIGHTHOUSE_REPORT) writeFileSync(process.env.LIGHTHOUSE_REPORT, JSON.stringify(report));
    const scores = CATEGORIES.map((category) => ({ category, score: Math.round((report.categories[category]?.score ?? 0) * 100) }));
    console.table(scores);
    const below = Object.values(report.audits).filter(({ score }) => score !== null && score < 0.9).map(({ title, score }) => ({ title, score }));
    console.table(below);
    for (const { category, score } of scores) expect(score, category).toBeGreaterThanOrEqual(95);
  } finally {
    await server.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});
