// What a page on another origin can do with an administrator's browser: nothing. Another port and another name of this
// machine are other origins, but the same site or nearly so, which is the harder case: cookies are sent along.

import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from '../fixtures/test';
import { answered } from '../fixtures/errors';
import { ADMIN } from '../fixtures/server';
import { MonitorPage } from '../fixtures/monitor_page';

/** A web server of somebody else's on this machine. */
async function attacker(html: string): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { port: (server.address() as AddressInfo).port, close };
}

const REFUSED = /WebSocket connection to|blocked by CORS|net::ERR_(FAILED|BLOCKED_BY_RESPONSE)|NotSameOrigin|X-Frame-Options|frame-ancestors|status of 403/;

test('a page on another origin opens no socket, posts no form, reads nothing and frames nothing', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  const target = monitor.server.url;
  const { port, close } = await attacker('<!doctype html><title>evil</title><body></body>');
  complaints.expect(REFUSED);
  const victim = await page.context().newPage();
  try {
    for (const origin of [`http://127.0.0.1:${port}`, `http://localhost:${port}`]) {
      await victim.goto(origin);
      const outcome = await victim.evaluate(async (target) => {
        const socket = (protocol: string) =>
          new Promise<string>((done) => {
            const socket = new WebSocket(`${target.replace('http', 'ws')}/admin-ws`, protocol);
            socket.onopen = () => done('open');
            socket.onclose = (event) => done(`closed ${event.code}`);
          });
        const read = async (path: string) => {
          try {
            return (await fetch(target + path, { credentials: 'include' })).status;
          } catch {
            return 'nothing';
          }
        };
        // What needs no permission to be sent: a form as a simple request. The answer is not to be seen.
        const post = async (path: string, body: string) => {
          const headers = { 'content-type': 'application/x-www-form-urlencoded' };
          await fetch(target + path, { method: 'POST', mode: 'no-cors', credentials: 'include', headers, body }).catch(() => {});
        };
        await post('/logout', '');
        await post('/admin/account/sessions', 'session=others');
        await post('/api/admin/config/refresh', '');
        return {
          json: await socket('tickstock.v1.json'),
          binary: await socket('tickstock.v1.bin'),
          status: await read('/api/admin/websocket-status'),
          audit: await read('/api/admin/audit'),
        };
      }, target);
      expect(outcome, origin).toEqual({ json: 'closed 1006', binary: 'closed 1006', status: 'nothing', audit: 'nothing' });

      await victim.evaluate(async (target) => {
        const frame = document.createElement('iframe');
        frame.src = `${target}/admin/websockets`;
        // Of a page that is refused, too.
        const loaded = new Promise((done) => frame.addEventListener('load', done));
        document.body.append(frame);
        await loaded;
      }, target);
      const framed = victim.frames().filter((frame) => frame.url().startsWith(target));
      for (const frame of framed) expect(await frame.locator('[data-testid=summary]').count(), 'framed').toBe(0);
    }

    // A form that the victim's own click sends, with everything that a navigation carries.
    await victim.goto(`http://localhost:${port}`);
    const answer = victim.waitForResponse((response) => response.url().endsWith('/logout'));
    await victim.evaluate((target) => {
      const form = document.createElement('form');
      form.method = 'post';
      form.action = `${target}/logout`;
      document.body.append(form);
      form.submit();
    }, target);
    expect((await answer).status()).toBe(403);
  } finally {
    await close();
  }
  // The administrator is still signed in, the page still live, and the attempts are on record.
  await monitor.expectLive();
  expect((await monitor.status()).connections.length).toBe(3);
  const log = await page.request.get(`${target}/api/admin/audit?action=cross_origin`);
  const { records } = (await log.json()) as { records: { target: string; outcome: string }[] };
  expect(records.map((record) => record.outcome)).toContain('refused');
  expect(records.map((record) => record.target)).toEqual(expect.arrayContaining(['GET /admin-ws', 'POST /logout']));
});

test('a session that was planted before signing in is not the one that is signed in', async ({ page, context, startServer }) => {
  const server = await startServer();
  const planted = 'AAAAAAAAAAAAAAAAAAAAAA';
  const name = `tickstock_session_${server.port}`;
  await context.addCookies([{ name, value: planted, url: server.url }]);
  await new MonitorPage(page, server).signIn();
  const cookie = (await context.cookies()).find((cookie) => cookie.name === name);
  expect(cookie?.value).not.toBe(planted);
  expect(await server.handshakeStatus({ cookie: `${name}=${planted}` })).toBe(401);
  expect(await page.evaluate(() => document.cookie), 'no script reads it').toBe('');
});

test('guessing a password is answered with a page that says when to come back', async ({ page, complaints, startServer }) => {
  const monitor = new MonitorPage(page, await startServer());
  await complaints.during(answered(429), async () => {
    await expect(async () => {
      await monitor.submitLogin(ADMIN.email, 'not the password at all');
      await expect(page.getByRole('heading', { name: 'Too many attempts' })).toBeVisible({ timeout: 500 });
    }).toPass({ timeout: 30_000 });
  });
  await expect(page.getByText(/Try again in \d+ s/)).toBeVisible();
  await page.getByRole('link', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(/\/login$/);
});
