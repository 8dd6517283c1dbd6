// Pictures of the real product into SCREENSHOTS_DIR: 1440, 1024 and 390 pixels wide, light and dark; all live with 300
// tickers, one connection mute, one failed, server gone; paused, on the tape, the help, and the sign-in page.

import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Browser, type BrowserContext, expect, test } from '@playwright/test';
import { MonitorPage } from '../fixtures/monitor_page';
import { ADMIN, MonitorServer } from '../fixtures/server';

const FOLDER = resolve(process.env.SCREENSHOTS_DIR ?? 'test-results/screenshots');
const SIZES = [
  { width: 1440, height: 900 },
  { width: 1024, height: 768 },
  { width: 390, height: 844 },
];
const SCHEMES = ['light', 'dark'] as const;

type View = { monitor: MonitorPage; context: BrowserContext; name: string };

/** The dashboard in every size and scheme, each in a context of its own, signed in once. */
async function openAll(browser: Browser, server: MonitorServer): Promise<View[]> {
  const first = await browser.newContext();
  const signIn = await first.newPage();
  await new MonitorPage(signIn, server).signIn();
  const storageState = await first.storageState();
  await first.close();
  const views: View[] = [];
  for (const viewport of SIZES) {
    for (const colorScheme of SCHEMES) {
      const context = await browser.newContext({ viewport, colorScheme, storageState, reducedMotion: 'reduce' });
      const monitor = new MonitorPage(await context.newPage(), server);
      await monitor.page.goto(`${server.url}/admin/websockets`);
      await monitor.waitUntilHydrated();
      await monitor.expectLive();
      views.push({ monitor, context, name: `${viewport.width}-${colorScheme}` });
    }
  }
  return views;
}

async function shoot(views: View[], what: string, isReady: (monitor: MonitorPage) => Promise<void>): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  for (const { monitor, name } of views) {
    await isReady(monitor);
    await monitor.page.screenshot({ path: join(FOLDER, `${what}-${name}.png`) });
    // On a narrow screen the columns stand one under another.
    if (name.startsWith('390')) {
      await monitor.page.screenshot({ path: join(FOLDER, `${what}-${name}-whole.png`), fullPage: true });
    }
  }
}

test('screenshots', async ({ browser }) => {
  const server = await MonitorServer.start();
  try {
    const views = await openAll(browser, server);
    // Long enough for every symbol to have ticked and for the rates to draw a line.
    await expect.poll(async () => (await views[0]?.monitor.status())?.summary.ticks_total, { timeout: 30_000 }).toBeGreaterThan(3_000);
    await shoot(views, 'live', async (monitor) => {
      for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected');
    });

    const desktop = views.slice(0, 2);
    for (const { monitor } of desktop) {
      await monitor.page.getByTestId('tape-view-2').click();
      await monitor.sortBy(1, 'rate').click();
      await monitor.filter(3).fill('b');
      await monitor.page.getByTestId('fold-configuration-3').click();
    }
    await shoot(desktop, 'tape', async (monitor) => {
      await expect.poll(async () => (await monitor.tapeLines(2)).length, { timeout: 20_000 }).toBeGreaterThan(12);
    });
    for (const { monitor } of desktop) {
      await monitor.page.getByTestId('table-view-2').click();
      await monitor.sortBy(1, 'symbol').click();
      await monitor.filter(3).fill('');
      await monitor.page.getByTestId('fold-configuration-3').click();
      await monitor.pause.click();
    }
    await shoot(desktop, 'paused', async (monitor) => expect(monitor.behind).toContainText(/[1-9]\d\d/));
    for (const { monitor } of desktop) {
      await monitor.pause.click();
      await monitor.page.getByTestId('help').click();
    }
    await shoot(desktop, 'help', async (monitor) => expect(monitor.page.getByTestId('help-dialog')).toBeVisible());
    for (const { monitor } of desktop) await monitor.page.getByTestId('help-close').click();

    await server.control({ fault: 'stall', connection: 1 });
    await shoot(views, 'mute', async (monitor) => expect(monitor.state(1)).toHaveText('mute', { timeout: 60_000 }));
    await server.control({ fault: 'clear', connection: 1 });

    await server.control({ fault: 'refuse_key', connection: 2 });
    await server.control({ fault: 'drop', connection: 2 });
    await shoot(views, 'failed', async (monitor) => expect(monitor.state(2)).toHaveText('failed', { timeout: 30_000 }));

    await server.kill();
    await shoot(views, 'gone', async (monitor) => expect(monitor.link).toHaveAttribute('data-state', 'lost'));
    for (const { context } of views) await context.close();

    await server.startAgain();
    for (const colorScheme of SCHEMES) {
      const context = await browser.newContext({ viewport: { width: 1024, height: 768 }, colorScheme });
      const page = await context.newPage();
      await new MonitorPage(page, server).submitLogin(ADMIN.email, 'not the password at all');
      await expect(page.getByRole('alert')).toBeVisible();
      await page.screenshot({ path: join(FOLDER, `sign-in-${colorScheme}.png`) });
      await context.close();
    }
    console.log(`\nscreenshots are in ${FOLDER}`);
  } finally {
    await server.remove();
  }
});
