// What clients see of each fault at the default advertisement interval.

import { testFaultTable } from "./fault-table.ts";

testFaultTable({ intervalMs: 200 });
