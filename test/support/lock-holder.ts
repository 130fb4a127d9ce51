/** Locks `FOLDER` and keeps it until this process is ended. */
import { lockFolder } from '../../broker/lock.ts'

const unlock = lockFolder(process.env['FOLDER'] ?? '')
const alive = setInterval(() => {}, 60_000)
// Before anybody is told: the signal may come as soon as they are.
process.once('SIGTERM', () => {
  unlock()
  clearInterval(alive)
})
process.send?.({ event: 'locked' })
