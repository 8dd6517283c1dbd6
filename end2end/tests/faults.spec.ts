import { expect, test } from '../fixtures/test';
import { expectAccessible } from '../fixtures/axe';
import { NETWORK_LOST } from '../fixtures/errors';
import { silentListener } from '../fixtures/process';

/** What speaks by itself when it changes. */
const LIVE_REGION = '[aria-live], [role=status], [role=alert], [role=log], [role=timer]';

test('a connection that drops reconnects by itself while the others tick', async ({ openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 15_000 });
  const before = await monitor.status();

  const states = await monitor.recordStates(2);
  const dimmed = await monitor.recordDimmedStates(2);
  await monitor.server.control({ fault: 'drop', connection: 2 });
  await expect.poll(states, { message: 'seen on the page', timeout: 2_000 }).toContain('reconnecting');
  for (const id of [1, 3]) await monitor.expectTicking(id);
  for (const id of [1, 3]) await expect(monitor.state(id)).toHaveText('connected');

  await expect(monitor.state(2)).toHaveText('connected', { timeout: 30_000 });
  await monitor.expectTicking(2);
  await monitor.expectPresent(2);
  expect(await dimmed(), 'its last prices did not look live').toContain('reconnecting');
  const after = await monitor.status();
  const reconnects = (status: typeof after) => status.connections.map(({ metrics }) => metrics.reconnects_total);
  const [one, two, three] = reconnects(before);
  expect(reconnects(after)).toEqual([one, (two ?? 0) + 1, three]);
});

test('a refused key is said in the provider’s words while the others tick, and a refresh tries it again', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);

  await monitor.server.control({ fault: 'refuse_key', connection: 3 });
  await monitor.server.control({ fault: 'drop', connection: 3 });
  await expect(monitor.state(3)).toHaveText('failed', { timeout: 15_000 });
  await expect(monitor.reason(3)).toContainText(/auth/i);
  await expect(monitor.reason(3), 'what to do').toContainText('Check MASSIVE_API_KEY');
  await expect(monitor.page.getByTestId('gaps-3'), 'and the way to the gap').toHaveAttribute('href', /connection=3#ledger-title$/);
  await expect(monitor.summary).toContainText('2 of 3');
  await expect(monitor.summary, 'the gap is told at once').toContainText(/open gaps\s*1/, { timeout: 20_000 });
  await expect(monitor.page.getByTestId('reliability-3')).toContainText('ongoing, key refused');
  await monitor.expectDimmed(3);
  for (const id of [1, 2]) await monitor.expectTicking(id);
  for (const id of [1, 2]) await expect(monitor.state(id)).toHaveText('connected');
  for (const id of [1, 2]) await monitor.expectPresent(id);

  await page.getByTestId('explain-3').click();
  const meaning = page.getByTestId('help-dialog').locator('#help-failed');
  await expect(meaning).toBeFocused();
  await expect(meaning).toContainText('Retry now');
  await page.getByTestId('help-close').click();

  await page.getByTestId('retry-3').click();
  await expect(page.getByTestId('errors-3'), 'tried at once, and refused again').toHaveText('3');
  await monitor.server.control({ fault: 'clear' });
  await page.getByTestId('refresh').click();
  await monitor.expectTicking(3, 20_000);
  await monitor.expectPresent(3);
});

test('nothing moves when a reason comes, and the foot of the columns stays above the fold', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  const places = () =>
    page.evaluate(() =>
      [...document.querySelectorAll('.summary, .column :is(.trio, .section-configuration, .table-head, .section-metrics, .reliability)')].map((part) =>
        Math.round(part.getBoundingClientRect().top),
      ),
    );
  const sizes = [[1920, 1080], [1366, 768], [1024, 768]] as const;
  const expectFootInSight = async (width: number, height: number) => {
    await page.setViewportSize({ width, height });
    const foot = await page.getByTestId('reliability-2').boundingBox();
    expect((foot?.y ?? Infinity) + (foot?.height ?? 0), `${width} × ${height}`).toBeLessThanOrEqual(height);
  };
  const before = new Map<number, number[]>();
  for (const [width, height] of sizes) {
    await page.setViewportSize({ width, height });
    before.set(width, await places());
  }
  await monitor.server.control({ fault: 'refuse_key', connection: 2 });
  await monitor.server.control({ fault: 'drop', connection: 2 });
  await expect(monitor.state(2)).toHaveText('failed', { timeout: 15_000 });
  await expect(page.getByTestId('reliability-2')).toContainText('ongoing', { timeout: 15_000 });
  for (const [width, height] of sizes) {
    await page.setViewportSize({ width, height });
    const moved = (await places()).map((top, place) => Math.abs(top - (before.get(width)?.[place] ?? Infinity)));
    expect(Math.max(...moved), `${width} wide: but for the rounding of a line's height`).toBeLessThanOrEqual(1);
    await expectFootInSight(width, height);
  }
  // What alerts take, they take from what nobody misses.
  await expect(page.getByTestId('open-alert')).toBeVisible({ timeout: 15_000 });
  for (const [width, height] of sizes) await expectFootInSight(width, height);
});

test('a connection that is open and silent shows how old its last tick is, and is mute', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await monitor.waitUntilRhythmIsKnown(1);

  await monitor.server.control({ fault: 'stall', connection: 1 });
  await expect(page.getByTestId('last-1')).toHaveText(/[4-9] s ago/, { timeout: 15_000 });
  await expect(page.getByTestId('last-2')).toHaveText(/now|[12] s ago/);
  await expect(monitor.state(1)).toHaveText('mute', { timeout: 40_000 });
  const layers = async (id: number) => monitor.column(id).locator('[data-layer]').evaluateAll((all) => all.map((layer) => layer.getAttribute('data-layer')));
  expect(await layers(1), 'socket and subscription are well, data is not').toEqual(['good', 'good', 'bad']);
  expect(await layers(2)).toEqual(['good', 'good', 'good']);
  await expect(monitor.reason(1)).toContainText(/No ticks since \d\d:\d\d:\d\d UTC/);
  await monitor.expectDimmed(1);
  await monitor.expectTicking(2);
  await monitor.expectPresent(2);
  await monitor.server.control({ fault: 'clear', connection: 1 });
  await monitor.expectTicking(1);
  await monitor.expectPresent(1);
  await expect(page.getByTestId('last-1')).toHaveText(/now|[12] s ago/);
});

test('in part acknowledged, late, halted and unanswered: each says what it is', async ({ page, openMonitor }) => {
  const monitor = await openMonitor({
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTIONS_MAX: '5',
    ...Object.fromEntries([1, 2, 3, 4, 5].map((id) => [`WEBSOCKET_CONNECTION_${id}_ENABLED`, 'true'])),
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT',
    WEBSOCKET_CONNECTION_1_CHANNELS: 'A,T',
    WEBSOCKET_CONNECTION_2_SYMBOLS: 'BAC,JPM',
    WEBSOCKET_CONNECTION_2_CHANNELS: 'A,T',
    WEBSOCKET_CONNECTION_3_SYMBOLS: 'JNJ,PFE',
    WEBSOCKET_CONNECTION_3_CHANNELS: 'T',
    WEBSOCKET_CONNECTION_4_SYMBOLS: 'AMD,NVDA',
    WEBSOCKET_CONNECTION_4_CHANNELS: 'T,LULD',
    WEBSOCKET_CONNECTION_5_SYMBOLS: 'KO,PG',
    WEBSOCKET_CONNECTION_5_CHANNELS: 'T',
  });
  const { server } = monitor;
  for (const id of [1, 2, 3, 4, 5]) await monitor.expectTicking(id, 20_000);
  for (const half of ['to-server-3', 'to-screen-3']) await monitor.expectLatency(half);
  const statesOfHalted = await monitor.recordStates(4);
  const notes = page.getByTestId('health-notes-4');

  // All at once: each takes its time.
  await server.control({ fault: 'deny_channel', connection: 1, channel: 'T' });
  await server.control({ fault: 'ignore_channel', connection: 2, channel: 'T' });
  await server.control({ fault: 'lag', connection: 3, by_ms: 7_000 });
  await server.control({ fault: 'halt', connection: 4, symbol: 'NVDA' });
  await server.control({ fault: 'mute_pings', connection: 5 });
  for (const connection of [1, 2, 5]) await server.control({ fault: 'drop', connection });

  await test.step('halted', async () => {
    await expect(notes).toContainText('1 halted: NVDA');
    const price = await monitor.price('NVDA').textContent();
    await monitor.expectTicking(4);
    await expect(monitor.price('NVDA'), 'it does not trade').toHaveText(price ?? '');
    await server.control({ fault: 'halt', connection: 4, symbol: 'AMD' });
    await expect(notes).toContainText('Trading is halted in AMD, NVDA');
  });

  await test.step('subscribing, then degraded: one channel gets no answer', async () => {
    await expect(monitor.state(2)).toHaveText('subscribing', { timeout: 15_000 });
    await expect(monitor.reason(2)).toContainText('Waiting for subscriptions to be acknowledged');
  });

  await test.step('authenticating: nothing is said to the key', async () => {
    await expect(monitor.state(5)).toHaveText('authenticating', { timeout: 15_000 });
    await expect(monitor.reason(5)).toContainText('Checking the API key');
    await expect(monitor.reason(5), 'why it was lost stays').toContainText(/Connection (dropped|broken)/);
    await expect(page.getByTestId('tile-5')).toContainText('authenticating');
    await expect(monitor.summary.locator('.troubles')).toContainText('connection 5 authenticating');
    await expect(monitor.column(5).locator('[data-layer]').first(), 'an open socket proves nothing').toHaveAttribute('data-layer', 'bad');
    await expect(page.getByTestId('uptime-5').locator('..')).toHaveText(/^down \d+ s$/);
    await monitor.expectDimmed(5);
  });

  await test.step('degraded: one channel is refused', async () => {
    await expect(monitor.state(1)).toHaveText('degraded', { timeout: 15_000 });
    await expect(monitor.reason(1)).toContainText('2 of 4 not acknowledged: T.AAPL, T.MSFT; the provider says: not authorized');
    await monitor.expectTicking(1);
    await monitor.expectPresent(1);
  });

  await test.step('degraded: data is late', async () => {
    await expect(monitor.state(3)).toHaveText('degraded', { timeout: 30_000 });
    await expect(monitor.reason(3)).toContainText(/Data delayed by \d+ s \(normally (under 1|\d) s\)/);
    await monitor.expectPresent(3);
  });

  await expect(monitor.state(2)).toHaveText('degraded', { timeout: 20_000 });
  await expect(monitor.reason(2)).toContainText('2 of 4 not acknowledged: T.BAC, T.JPM');
  await expect(page.getByTestId('last-4'), 'silent for longer than ticking connections may be').toHaveText(/(\d\d|[6-9]) s ago/, { timeout: 15_000 });
  expect(await statesOfHalted(), 'but halted, not mute').toEqual(['connected']);
  await expectAccessible(page, 'degraded, halted, authenticating');

  await server.control({ fault: 'clear' });
  await monitor.expectTicking(4);
  await expect(notes).not.toContainText('halted');
  await expect(monitor.state(3)).toHaveText('connected', { timeout: 20_000 });
  await expect(monitor.state(5)).toHaveText('connected', { timeout: 40_000 });
  await monitor.expectTicking(5);
  await monitor.expectPresent(5);
});

test('a provider that does not answer is waited for; one that is gone is tried again, counted and counted down', async ({ page, openMonitor }) => {
  const provider = await silentListener();
  const monitor = await openMonitor({
    MASSIVE_API_KEY: 'any',
    MASSIVE_WEBSOCKET_URL: `ws://127.0.0.1:${provider.port}/stocks`,
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL',
  });
  await expect(monitor.state(1)).toHaveText('connecting', { timeout: 20_000 });
  await expect(monitor.reason(1)).toContainText('Opening the socket');

  const attempts = await monitor.recordAttempts(1);
  await provider.close();
  await expect(monitor.state(1)).toHaveText('reconnecting', { timeout: 20_000 });
  await expect(monitor.reason(1)).toContainText('Cannot connect');
  const countdowns = async () => {
    const seconds = new Map<string, number[]>();
    for (const text of await attempts()) {
      const [, attempt, left] = /^attempt (\d+) · next in (\d+) s$/.exec(text) ?? [];
      if (attempt && left) seconds.set(attempt, [...(seconds.get(attempt) ?? []), Number(left)]);
    }
    return [...seconds.values()];
  };
  await expect.poll(async () => (await countdowns()).filter((seconds) => seconds.length > 1).length, { timeout: 20_000 }).toBeGreaterThan(1);
  for (const seconds of await countdowns()) expect(seconds, 'counted down').toEqual([...seconds].sort((a, b) => b - a));
  await expectAccessible(page, 'reconnecting');
});

test('garbage from the provider is counted and stops nothing', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  await expect(monitor.state(2)).toHaveText('connected', { timeout: 15_000 });

  await monitor.server.control({ fault: 'garbage', connection: 2 });
  await expect(page.getByTestId('errors-2')).toHaveText(/[1-9]/);
  await expect(page.getByTestId('errors-1')).toHaveText('0');
  await monitor.expectTicking(2);
  await expect(monitor.state(2)).toHaveText('connected');
  await expect(async () => {
    const { last_error } = (await monitor.status()).connections[1]?.metrics ?? {};
    expect(last_error?.message).toBeTruthy();
    await expect(monitor.errorText(2)).toContainText(last_error?.message ?? 'an error', { timeout: 1_000 });
  }).toPass();
  await expect(monitor.errorText(2), 'with its age').toContainText(/now|\d+ s ago/);
  await expect(monitor.errorText(1)).toHaveText('');
});

test('a flood is drawn in part, says so, and stops nothing', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await monitor.server.control({ fault: 'flood', connection: 3 });
  await expect(page.getByTestId('conflated-3')).toHaveText(/^1 of [\d,]+ drawn$/);
  await monitor.expectTicking(1);
  await monitor.server.control({ fault: 'clear' });
  await expect(page.getByTestId('conflated-3')).toBeHidden({ timeout: 20_000 });
  await expect(page.getByTestId('conflated-1'), 'nothing was conflated there').toBeHidden();
});

test('when the server is gone the page says so, and comes back without a reload', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await page.evaluate(() => Object.assign(window, { survivor: 'still here' }));
  const announcements = await monitor.recordAnnouncements();

  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.kill();
    await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
    await expect(monitor.banner).toContainText('Connection to the monitor lost');
    await expect(monitor.banner).toContainText(/as of \d\d:\d\d:\d\d/);
    for (const id of [1, 2, 3]) await monitor.expectDimmed(id);
    const stale = await monitor.prices(1);
    expect(Object.keys(stale).length, 'the last numbers stay').toBeGreaterThan(5);
    expect(await monitor.watchPrices(500), 'and stand still').toEqual([]);
    await expect(monitor.banner).toContainText(/Attempt [2-9], next one in \d+ s/, { timeout: 20_000 });
    const speaks = (region: string) => monitor.banner.evaluate((banner, region) => (banner.closest(region) ?? banner.querySelector(region)) !== null, region);
    expect(await speaks(LIVE_REGION), 'a countdown is not read out').toBe(false);

    await monitor.server.startAgain();
    // Without waiting for the next attempt, unless that came first.
    await page.getByTestId('retry-link').click({ timeout: 2_000 }).catch(() => undefined);
    await monitor.expectLive(20_000);
  });
  await expect(monitor.banner).toBeHidden();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  for (const id of [1, 2, 3]) await monitor.expectPresent(id);
  const said = async (what: RegExp) => (await announcements()).filter((text) => what.test(text)).length;
  await expect.poll(() => said(/monitor restored/i)).toBe(1);
  expect(await said(/monitor lost/i), 'once, however often it was tried').toBe(1);
  expect(await page.evaluate(() => Reflect.get(window, 'survivor')), 'no reload').toBe('still here');
  expect((await monitor.status()).summary.total, 'still signed in').toBe(3);
});

test('a server that ends in good order is missed and found again all the same', async ({ complaints, openMonitor }) => {
  const monitor = await openMonitor();
  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.stop();
    await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
    await monitor.server.startAgain();
    await monitor.expectLive(20_000);
  });
  await monitor.expectTicking(1, 15_000);
});
