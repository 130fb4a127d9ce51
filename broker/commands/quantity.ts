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

/** A time in its two largest units: `3 h 12 min`. */
export function inTime(ms: number): string {
  const s = Math.floor(ms / 1000)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`
  return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3600) % 24} h`
}
