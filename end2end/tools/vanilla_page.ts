// The floor of what an open page costs: the same socket, decoded by hand (docs/protocol.md), written into as many rows as
// ours has on a screen. No sorting, no directions, no ages, no framework.

import type { Page } from '@playwright/test';

/** Rows of a column that a screen 900 pixels high shows. */
const ROWS = 27;

/** Opens it; the context must ignore the policy, which the address it borrows has too. */
export async function openVanillaPage(page: Page, url: string, symbolsPerConnection: number): Promise<void> {
  await page.goto(`${url}/healthz`);
  await page.evaluate(
    ({ rows, symbolsPerConnection }) =>
      new Promise<void>((live) => {
        // A row's number is its place: connection by connection, symbols in alphabetical order.
        const cells = new Map<number, Text>();
        // Three columns side by side, as ours: what changes in one frame is as far apart on the screen.
        document.body.style.cssText = 'display: flex; align-items: flex-end; height: 100vh; margin: 0';
        for (let connection = 0; connection < 3; connection += 1) {
          const table = document.body.appendChild(document.createElement('table'));
          table.style.cssText = 'flex: 1; text-align: center; line-height: 22px; border-spacing: 0';
          for (let place = 0; place < rows; place += 1) {
            const cell = table.insertRow().insertCell();
            cell.dataset.cell = 'price';
            cells.set(connection * symbolsPerConnection + place, cell.appendChild(new Text('–')));
          }
        }
        const prices = new Float64Array(3 * symbolsPerConnection);
        const changed = new Set<number>();
        let isScheduled = false;
        const paint = () => {
          isScheduled = false;
          for (const row of changed) {
            const cell = cells.get(row);
            if (cell) cell.data = (prices[row] ?? 0).toFixed(2);
          }
          changed.clear();
        };
        const read = (bytes: DataView) => {
          let at = 1;
          // LEB128; what is beyond 53 bits is not needed here.
          const varint = () => {
            let [value, scale] = [0, 1];
            for (;;) {
              const byte = bytes.getUint8(at);
              at += 1;
              value += (byte & 127) * scale;
              if (byte < 128) return value;
              scale *= 128;
            }
          };
          varint();
          for (let entries = varint(); entries > 0; entries -= 1) {
            const row = varint();
            prices[row] = bytes.getFloat64(at, true);
            at += 8;
            varint();
            varint();
            varint();
            if (cells.has(row)) changed.add(row);
          }
        };
        const socket = new WebSocket(`ws://${location.host}/admin-ws`, 'tickstock.v1.bin');
        socket.binaryType = 'arraybuffer';
        socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
          const bytes = new DataView(data);
          const kind = bytes.getUint8(0);
          if (kind === 0) live();
          if (kind !== 2) return;
          read(bytes);
          if (changed.size > 0 && !isScheduled) {
            isScheduled = true;
            requestAnimationFrame(paint);
          }
        };
      }),
    { rows: ROWS, symbolsPerConnection },
  );
}
