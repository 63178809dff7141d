/**
 * Interval of the heartbeat in every server, ms: longer than the benchmark. A round of pings to 1,000 pages takes some
 * 20 ms of CPU; in which round of a few seconds it falls would be chance.
 */
export const HEARTBEAT = 3_600_000;
