// What the whole page says when it is not, or not all of it, live: the market is closed, the page's program is on its way or
// cannot be had, the server is silent, the account lost its role, somebody paused, the address leads nowhere.

import { expectAccessible } from '../fixtures/axe';
import { startedAt } from '../fixtures/clock';
import { NETWORK_LOST, answered } from '../fixtures/errors';
import { MonitorPage } from '../fixtures/monitor_page';
import { ADMIN } from '../fixtures/server';
import { expect, test } from '../fixtures/test';

// A connection that never ticked is mute after 30 s while the market is open.
const MUTE_WHEN_OPEN = 35_000;

test('while the market is closed silence is normal, and the page says until when', async ({ page, startServer, openMonitor }) => {
  test.setTimeout(120_000);
  const market = await startServer();
  await market.control({ fault: 'stall' });
  const monitor = await openMonitor({
    MARKET_FEED: 'massive',
    MASSIVE_API_KEY: 'any',
    MASSIVE_WEBSOCKET_URL: `ws://127.0.0.1:${market.controlPort}/stocks`,
    USE_MULTI_CONNECTION: 'true',
    ...Object.fromEntries([1, 2, 3].map((id) => [`WEBSOCKET_CONNECTION_${id}_ENABLED`, 'true'])),
    WEBSOCKET_CONNECTION_1_UNIVERSE_KEY: 'dow30',
    WEBSOCKET_CONNECTION_2_SYMBOLS: 'SPY,QQQ',
    WEBSOCKET_CONNECTION_3_SYMBOLS: 'AMD',
    ...startedAt('2031-11-27 17:00:00'),
  });

  await expect(page.getByTestId('market')).toHaveText(/^market closed · Thanksgiving · pre-market in 15 h 5\d m/);
  await expect(page.getByTestId('market'), 'one has to read it').toHaveAttribute('data-session', 'closed');
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 15_000 });
  const states = await monitor.recordStates(1);
  await page.waitForTimeout(MUTE_WHEN_OPEN);
  expect(await states(), 'nobody is called for a holiday').toEqual(['connected']);
  for (const id of [1, 2, 3]) await expect(monitor.column(id)).toContainText('The market is closed for Thanksgiving');
  await expect(monitor.summary).toContainText('3 of 3');
  await expectAccessible(page, 'market closed');
});

test('while the program is on its way the page stands with what the server knew, and says that it is not live', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  const firstPrice = (id: number) => monitor.rows(id).first().locator('[data-cell=price]');
  for (const id of [1, 2, 3]) await expect(firstPrice(id)).toHaveText(/\d\.\d\d/, { timeout: 20_000 });
  let deliver = () => {};
  const delivered = new Promise<void>((resolve) => (deliver = resolve));
  await page.route('**/*.wasm', async (route) => {
    await delivered;
    await route.continue();
  });
  await page.reload({ waitUntil: 'commit' });
  await expect(monitor.link).toHaveAttribute('data-state', 'connecting');
  await expect(monitor.link).toContainText('connecting');
  for (const id of [1, 2, 3]) {
    await expect(monitor.state(id)).toHaveText('connected');
    await expect(firstPrice(id)).toHaveText(/\d\.\d\d/);
  }
  const note = page.getByRole('note');
  await expect(note, 'after a while it says of when it is').toContainText(/loaded at \d\d:\d\d:\d\d UTC and does not update/);
  const colour = async () => firstPrice(1).evaluate((price) => getComputedStyle(price).color);
  const old = await colour();
  await expectAccessible(page, 'on its way');
  await page.emulateMedia({ colorScheme: 'light' });
  deliver();
  await monitor.waitUntilHydrated();
  await monitor.expectLive();
  await expect(note).toBeHidden();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id);
  expect(await colour(), 'it was dimmed').not.toBe(old);
});

test('an address that leads nowhere shows the way to the dashboard, or to the sign-in', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  const leave = async () => {
    await complaints.during(answered(404), async () => page.goto(`${monitor.server.url}/no/such/page`));
    await page.getByRole('link', { name: 'Go to the dashboard' }).click();
  };
  await leave();
  await monitor.waitUntilHydrated();
  await monitor.expectLive();
  await monitor.expectTicking(1);
  await page.context().clearCookies();
  await leave();
  await expect(page).toHaveURL(/\/login$/);
});

// What a person does who clicks twice, or whose network is bad. That the server did not panic is seen when it is taken down.
test('visitors who leave while their page is being made leave nothing behind', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  const cookies = await page.context().cookies();
  const headers = { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') };
  const ask = async (signal?: AbortSignal) => (await fetch(`${monitor.server.url}/admin/websockets`, { headers, signal })).text();
  expect(await ask()).toContain('column-1');
  const end = Date.now() + 6_000;
  let left = 0;
  const visit = async () => {
    while (Date.now() < end) {
      // A page takes a few milliseconds to make.
      const signal = AbortSignal.timeout(Math.ceil(Math.random() * 12));
      await ask(signal).catch(() => (left += signal.aborted ? 1 : 0));
    }
  };
  await Promise.all(Array.from({ length: 12 }, visit));
  expect(left).toBeGreaterThan(100);
  await monitor.expectTicking(1);
});

test('when the program cannot be had the page stands still and says so', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  const firstPrice = monitor.rows(1).first().locator('[data-cell=price]');
  await expect(firstPrice).toHaveText(/\d\.\d\d/, { timeout: 20_000 });
  complaints.expect(answered(404));
  complaints.expect(/wasm|WebAssembly/i);
  await page.route('**/*.wasm', async (route) => route.fulfill({ status: 404 }));
  await page.reload();
  await expect(page.getByRole('note')).toContainText('Live updates are not running.');
  const dimmed = await page.evaluate(() => {
    const sample = document.body.appendChild(document.createElement('i'));
    sample.style.color = 'var(--dimmed)';
    return getComputedStyle(sample).color;
  });
  await expect(firstPrice).toHaveCSS('color', dimmed);
  await expectAccessible(page, 'without its program');
});

test('a server that says nothing is missed, though the socket is open', async ({ complaints, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectDated([1, 2, 3]);
  complaints.expect(NETWORK_LOST);
  monitor.server.freeze();
  await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 10_000 });
  await expect(monitor.banner).toContainText(/Connection to the monitor lost.*as of \d\d:\d\d:\d\d UTC/);
  for (const id of [1, 2, 3]) await monitor.expectDimmed(id);
  monitor.server.goOn();
  await monitor.expectLive(30_000);
  await monitor.expectTicking(1, 20_000);
});

test('where the server answers and no socket gets through, the page says so', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  // As behind a proxy that drops the upgrade: the handshake is answered like any request.
  await page.addInitScript(() => {
    const Real = WebSocket;
    window.WebSocket = class extends Real {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(String(url).replace('/admin-ws', '/healthz'), protocols);
      }
    };
  });
  complaints.expect(/WebSocket connection/);
  await page.reload();
  await expect(monitor.banner).toContainText('The server answers, but WebSockets do not get through', { timeout: 10_000 });
});

test('while the database cannot be written the page says what is not kept, and nobody else is let in', async ({ page, browser, complaints, openMonitor }) => {
  test.setTimeout(120_000);
  const monitor = await openMonitor();
  await monitor.expectTicking(1, 15_000);
  // The page asks for the availability by itself, which cannot be put on record either.
  complaints.expect(answered(503));
  const unlock = await monitor.server.lockDatabase();
  await expect(monitor.banner).toContainText(/History is not being recorded\. Since \d\d:\d\d:\d\d UTC: the database is busy\. Live data is not affected\./, { timeout: 40_000 });
  await expectAccessible(page, 'history not kept');
  for (const id of [1, 2, 3]) {
    await monitor.expectTicking(id);
    await monitor.expectPresent(id);
  }

  // What was not done before cannot be put on record, and is refused for that.
  const late = new MonitorPage(await (await browser.newContext()).newPage(), monitor.server);
  await late.submitLogin(ADMIN.email, ADMIN.password);
  await expect(late.page.getByText('cannot be written right now')).toBeVisible({ timeout: 15_000 });
  await expectAccessible(late.page, 'signing in not on record');
  const audit = await page.context().newPage();
  const answer = await audit.goto(`${monitor.server.url}/admin/audit`);
  expect(answer?.status()).toBe(503);
  await expect(audit.getByRole('heading', { name: 'Audit log unavailable' })).toBeVisible();
  await expectAccessible(audit, 'not on record');

  await unlock();
  await audit.getByRole('link', { name: 'Try again' }).click();
  await expect(audit).toHaveURL(/\/admin\/websockets$/);
  await audit.close();
  await late.open();
  await late.expectTicking(1);
  await late.page.context().close();
  await expect(monitor.banner).toBeHidden({ timeout: 20_000 });
});

test('when the server fails it says so, in words for people and for programs, and open pages go on', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(1, 15_000);
  monitor.server.ruinDatabase();
  const late = await page.context().newPage();
  await complaints.during(answered(500), async () => {
    const answer = await late.goto(`${monitor.server.url}/admin/websockets`);
    expect(answer?.status()).toBe(500);
    await expect(late.getByRole('heading', { name: 'Something went wrong' })).toBeVisible();
    await expectAccessible(late, 'something failed');
  });
  const answer = await page.request.get(`${monitor.server.url}/api/admin/websocket-status`);
  expect(answer.status()).toBe(500);
  expect(await answer.json()).toMatchObject({ error: { code: 'internal' } });
  complaints.expect(answered(500));
  await expect(monitor.banner).toContainText('History is not being recorded.', { timeout: 20_000 });
  for (const id of [1, 2, 3]) {
    await monitor.expectTicking(id);
    await monitor.expectPresent(id);
  }
});

test('an account that loses its role sees at once that it may not see', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectDated([1, 2, 3]);
  complaints.expect(answered(403));
  complaints.expect(NETWORK_LOST);
  await monitor.server.user(['set-role', ADMIN.email, '--role', 'user']);
  await expect(monitor.link).toHaveAttribute('data-state', 'ended', { timeout: 20_000 });
  await expect(monitor.banner).toContainText('Your account no longer has access to this page.');
  await expect(page).toHaveTitle(/^not allowed/);
  for (const id of [1, 2, 3]) await monitor.expectDimmed(id);
  await expectAccessible(page, 'not allowed any more');
});

test('paused, a connection that fails is seen at once', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await page.keyboard.press('Space');
  await expect(monitor.behind).toBeVisible();
  const prices = await monitor.prices(1);
  await monitor.server.control({ fault: 'refuse_key', connection: 3 });
  await monitor.server.control({ fault: 'drop', connection: 3 });
  await expect(monitor.state(3)).toHaveText('failed', { timeout: 15_000 });
  await expect(page).toHaveTitle(/1 down/);
  for (const id of [1, 2, 3]) await monitor.expectDimmed(id);
  expect(await monitor.prices(1), 'and the prices stand').toMatchObject(prices);
  await expectAccessible(page, 'paused and failed');
});

test('paused, a link that is lost and found again moves nothing', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await monitor.pause.click();
  const label = page.getByText(/^Paused at /);
  await expect(label).toHaveText(/^Paused at \d\d:\d\d:\d\d$/);
  const pausedAt = (await label.textContent()) ?? '';
  const prices = await monitor.prices(1);
  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.kill();
    await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
    await expectAccessible(page, 'paused and lost');
    await monitor.server.startAgain();
    await monitor.expectLive(20_000);
  });
  await expect(monitor.pause).toHaveAttribute('data-paused', 'true');
  await expect(label).toHaveText(pausedAt);
  expect(await monitor.prices(1), 'what somebody reads stays').toEqual(prices);
  await monitor.pause.click();
  await expect(label).toBeHidden();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
});
