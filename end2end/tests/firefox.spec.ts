// The dashboard in Firefox. Driven by WebDriver BiDi, as Firefox speaks it: Playwright's own build of Firefox would have to
// be downloaded. What is shown here is that the other engine runs all of it; what a control does is tested in Chromium.

import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { findBrowser } from '../browser';
import { ADMIN } from '../fixtures/server';
import { expect, test } from '../fixtures/test';

test('Firefox signs in, shows three columns that tick, keeps the policy, and sees a connection go and come', async ({ startServer }) => {
  const server = await startServer();
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const complaints = await listen(page);
    await page.setViewport({ width: 1440, height: 900 });
    await page.goto(`${server.url}/login`);
    await page.type('input[name=email]', ADMIN.email);
    await page.type('input[name=password]', ADMIN.password);
    await Promise.all([page.waitForNavigation(), page.click('form button[type=submit]')]);
    expect(page.url()).toMatch(/\/admin\/websockets$/);
    await page.waitForSelector('body[data-hydrated]');
    await page.waitForSelector('[data-testid=link][data-state=live]');
    for (const id of [1, 2, 3]) await expectTicking(page, id);

    const state = () => page.$eval('[data-testid=state-2]', (element) => element.textContent?.trim());
    await server.control({ fault: 'drop', connection: 2 });
    await expect.poll(state, { intervals: [50] }).toBe('reconnecting');
    await expect.poll(state).toBe('connected');
    await expectTicking(page, 2);

    await page.click('[data-testid=tape-view-3]');
    await page.waitForSelector('[data-testid=tape-3] [role=row]');
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.keyboard.press(' ');
    await page.waitForSelector('[data-testid=behind]', { visible: true });
    await page.keyboard.press('?');
    await page.waitForSelector('[data-testid=help-dialog]', { visible: true });
    await page.goto(`${server.url}/admin/metrics`);
    await page.waitForSelector('[data-testid=gaps] [data-testid="gap-2-1"]');
    expect(complaints).toEqual([]);
  } finally {
    await browser.close();
  }
});

async function launch(): Promise<Browser> {
  const executablePath = findBrowser('FIREFOX', ['firefox', 'firefox-esr']);
  if (!executablePath) throw new Error('there is no Firefox: scripts/setup.sh test installs it, or set FIREFOX');
  return puppeteer.launch({ browser: 'firefox', executablePath });
}

/** What the browser complains about from now on. */
async function listen(page: Page): Promise<string[]> {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.evaluateOnNewDocument(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.effectiveDirective} refuses ${event.blockedURI} ${event.sample}`);
    });
  });
  return complaints;
}

async function expectTicking(page: Page, id: number): Promise<void> {
  const prices = () =>
    page.$$eval(`[data-testid=column-${id}] [data-cell=price]`, (cells) => cells.map((cell) => cell.textContent).join());
  const before = await prices();
  await expect.poll(prices, { message: `column ${id} ticks` }).not.toBe(before);
}
