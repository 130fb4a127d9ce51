const number = new Intl.NumberFormat('en')

/** A count with its unit, such as `1,042 messages` or `1 message`. */
export function counted(count: number, unit: string, units = `${unit}s`): string {
  return `${number.format(count)} ${count === 1 ? unit : units}`
}

/** Bytes in the largest unit of which there is one: `812 KiB`. */
export function inBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 1024 ** power
  return `${number.format(power > 0 && value < 100 ? Math.round(value * 10) / 10 : Math.round(value))} ${units[power]}`
}

/** Messages a second: `0.4/s`, `23,593/s`. */
export function inRate(perSecond: number): string {
  return `${number.format(perSecond < 100 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond))}/s`
}

const timeUnits = [
  { ms: 86_400_000, name: 'd' },
  { ms: 3_600_000, name: 'h' },
  { ms: 60_000, name: 'min' },
  { ms: 1000, name: 's' },
]

/** A time in its two largest units: `3 h 12 min`. */
export function inTime(ms: number): string {
  const at = Math.max(
    0,
    timeUnits.findIndex(unit => ms >= unit.ms),
  )
  let left = ms < 1000 ? 0 : ms
  const parts = timeUnits
    .slice(ms < 1000 ? -1 : at)
    .slice(0, 2)
    .map(unit => {
      const count = Math.floor(left / unit.ms)
      left -= count * unit.ms
      return { count, name: unit.name }
    })
  return parts
    .filter(({ count }, index) => index === 0 || count > 0)
    .map(({ count, name }) => `${count} ${name}`)
    .join(' ')
}
