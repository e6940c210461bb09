// What clients see of each fault at an advertisement interval of 50 ms.

import { testFaultTable } from "./fault-table.ts";

testFaultTable({ intervalMs: 50 });
