import { expect, test } from '../fixtures/test';
import { NETWORK_LOST } from '../fixtures/errors';

test('the tape has every tick in order, as it was published', async ({ startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor({
    MARKET_FEED: 'redis',
    REDIS_URL: redis.url,
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT',
  });
  const client = redis.connect();
  await redis.waitForSubscriber(client);
  await monitor.page.getByTestId('tape-view-1').click();
  await expect(monitor.tape(1)).toContainText('starts with the next tick');

  // Until the first one shows, nobody knows that the server has opened the tape.
  await expect(async () => {
    await client.publish({ symbol: 'MSFT', price: 1 });
    expect((await monitor.tapeLines(1)).length).toBeGreaterThan(0);
  }).toPass();
  // All at once: the table draws only the last one.
  const sent = Array.from({ length: 500 }, (_, place) => (place + 100).toFixed(2));
  await Promise.all(sent.map((price) => client.publish({ symbol: 'AAPL', price: Number(price) })));
  // The last tick, as a change of state may stand after it.
  const lastTick = async () => (await monitor.tapeLines(1)).findLast(({ what }) => what === 'AAPL')?.price;
  await expect.poll(lastTick).toBe(sent.at(-1));

  const seen: string[] = [];
  const height = await monitor.tape(1).evaluate((element) => element.scrollHeight);
  for (let top = 0; top < height; top += 200) {
    await monitor.tape(1).evaluate((element, top) => element.scrollTo(0, top), top);
    await monitor.page.evaluate(() => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next))));
    const lines = (await monitor.tapeLines(1)).filter(({ what }) => what === 'AAPL').map(({ price }) => price);
    seen.push(...lines.filter((price) => !seen.includes(price)));
  }
  expect(seen).toEqual(sent);

  // Changes of state stand between the ticks, whatever the filter.
  const ticks = async () => (await monitor.tapeLines(1)).filter(({ price }) => price !== '');
  const symbols = async () => new Set((await ticks()).map(({ what }) => what));
  await monitor.filter(1).fill('ms');
  await expect.poll(symbols, { message: 'of what came before too' }).toEqual(new Set(['MSFT']));
  await Promise.all(sent.map((price) => client.publish({ symbol: 'AAPL', price: Number(price) })));
  await client.publish({ symbol: 'MSFT', price: 402 });
  await expect.poll(async () => (await ticks()).at(-1)).toMatchObject({ what: 'MSFT', price: '402.00' });
  expect(await symbols()).toEqual(new Set(['MSFT']));
  await monitor.filter(1).fill('nvda');
  await expect.poll(symbols).toEqual(new Set());
  await monitor.filter(1).press('Escape');
  await expect.poll(symbols).toContain('AAPL');
  client.close();
});

test('the tape follows its end until the reader scrolls up, and says how many came since', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(1, 15_000);
  await page.getByTestId('tape-view-1').click();
  const end = async () => (await monitor.tapeLines(1)).at(-1);
  const atEnd = () => monitor.tape(1).evaluate((tape) => tape.scrollHeight - tape.scrollTop - tape.clientHeight < 27);
  await expect.poll(async () => monitor.tape(1).evaluate((tape) => tape.scrollHeight > 2 * tape.clientHeight), { timeout: 20_000 }).toBe(true);
  expect(await atEnd(), 'it follows').toBe(true);
  await expect(page.getByTestId('follow-1')).toHaveAttribute('aria-pressed', 'true');

  await monitor.tape(1).hover();
  await page.mouse.wheel(0, -150);
  await expect(page.getByTestId('follow-1')).toHaveAttribute('aria-pressed', 'false');
  const since = async () => Number((await page.getByTestId('unseen-1').textContent())?.replaceAll(/\D/g, ''));
  await expect.poll(since).toBeGreaterThan(0);
  const [read, already] = [await monitor.tapeLines(1), await since()];
  await expect.poll(since).toBeGreaterThan(already + 100);
  expect(await monitor.tapeLines(1), 'what is read stands still').toEqual(read);
  await monitor.filter(1).fill('zzz');
  await expect.poll(async () => (await monitor.tapeLines(1)).filter(({ price }) => price !== '')).toEqual([]);
  await monitor.filter(1).press('Escape');
  await expect.poll(() => monitor.tapeLines(1), { message: 'without the filter one is where one was' }).toContainEqual(read[0]);
  await page.getByTestId('unseen-1').click();
  await expect(page.getByTestId('unseen-1')).toBeHidden();
  await expect(monitor.tape(1), 'and the keyboard is where it was').toBeFocused();
  await expect.poll(atEnd).toBe(true);

  const follow = page.getByTestId('follow-1');
  await follow.click();
  await expect(follow, 'switched off').toHaveAttribute('aria-pressed', 'false');
  await expect.poll(since).toBeGreaterThan(0);
  const held = await monitor.tapeLines(1);
  await expect.poll(since).toBeGreaterThan(100);
  expect(await monitor.tapeLines(1), 'at its end it stands still too').toEqual(held);
  await monitor.tape(1).hover();
  await page.mouse.wheel(0, -300);
  await expect.poll(atEnd).toBe(false);
  await expect(follow).toHaveAttribute('aria-pressed', 'false');
  await page.mouse.wheel(0, 1_000);
  await expect(follow, 'whoever scrolls to the end follows again').toHaveAttribute('aria-pressed', 'true');
  await expect.poll(end).not.toEqual(held.at(-1));
  await expect.poll(atEnd).toBe(true);

  await monitor.pause.click();
  const frozen = await end();
  await expect(page.getByTestId('unseen-1')).toHaveText(/^[1-9][\d,]* new$/);
  expect(await end()).toEqual(frozen);
  await monitor.pause.click();
  await expect.poll(end).not.toEqual(frozen);

  await monitor.server.control({ fault: 'drop', connection: 1 });
  await expect(monitor.tape(1).getByText(/^reconnecting: /), 'states stand between the ticks').toBeAttached({ timeout: 15_000 });
  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.kill();
    await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
    const before = await end();
    await monitor.server.startAgain();
    await monitor.expectLive(20_000);
    await expect.poll(end, { message: 'the tape goes on by itself', timeout: 15_000 }).not.toEqual(before);
  });
});
