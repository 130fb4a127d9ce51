import type { Compiler } from './compiler.ts'
import type { LoadStarter } from './load.ts'
import type { Stage } from './program.ts'
import type { Postern } from './systems/postern.ts'
import type { Table } from './table.ts'
import type { Rounds } from './trial.ts'

/** How much is measured. */
export interface Scale {
  /** A smoke run: small counts, and figures that mean nothing. */
  readonly isQuick: boolean
  /** Every row and run, those that a default run leaves out too. */
  readonly isFull: boolean
}

/** What a group needs to measure. */
export interface Bench {
  readonly scale: Scale
  readonly rounds: Rounds
  readonly compiler: Compiler
  readonly startLoad: LoadStarter
  readonly postern: Postern
}

/** A set of ways to do one kind of work, with a control among them: one table. */
export interface Group {
  readonly name: string
  readonly measure: (bench: Bench, stage: Stage) => Promise<Table>
}
