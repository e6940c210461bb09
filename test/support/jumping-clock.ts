// Loaded before a program (node --import): its wall clock jumps by hours, back and forth, every 200 ms.

const JUMP_EVERY_MS = 200;
const JUMPS_MS = [5, -7, 0, 48, -48].map((hours) => hours * 3_600_000);

const RealDate = Date;

function jumpedNow(): number {
  const jump = JUMPS_MS[Math.floor(performance.now() / JUMP_EVERY_MS) % JUMPS_MS.length] ?? 0;
  return RealDate.now() + jump;
}

class JumpingDate extends RealDate {
  constructor(...args: readonly []) {
    if (args.length === 0) super(jumpedNow());
    else super(...args);
  }

  static override now(): number {
    return jumpedNow();
  }
}

globalThis.Date = JumpingDate as DateConstructor;
