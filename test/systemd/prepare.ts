// node test/systemd/prepare.ts makes the image that the machines are booted from, unless it is there or none could be booted here. Whoever runs
// other tests first does it meanwhile; else the tests here make it when they need it.

import { makeImage } from "./image.ts";
import { machinesAreMissing } from "./requirements.ts";

if (machinesAreMissing() === false) await makeImage();
