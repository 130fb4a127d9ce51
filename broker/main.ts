const words = process.argv.slice(2)

// A broker that runs has nothing of the other commands in memory.
if (words.length === 0 || (words.length === 1 && words[0] === 'run')) {
  const { runBroker } = await import('./daemon.ts')
  await runBroker()
} else {
  const { main } = await import('./commands/index.ts')
  await main(words)
}
