import { fileURLToPath } from 'node:url'
import { type H3, type H3Event, HTTPResponse } from 'h3'
import type { Backbone } from '#client'
import { PosternError } from '#protocol'
import { defaultTopicOf } from './address.ts'
import { type Context, sharedContext } from './context.ts'
import { decodePercent } from './percent.ts'
import { addRoute, answerError, createRoutes } from './routes.ts'
import { Site, type SiteFile, toSiteFile } from './site.ts'

const route = '/site'
const indexName = 'index.html'
/** The folder of the playground: outside development mode it is as if it were not there. */
const playgroundFolder = 'playground/'
const playgroundName = `${playgroundFolder}page.html`
const siteFolder = fileURLToPath(new URL('../site/', import.meta.url))

const headers = {
  // A browser asks each time and mostly gets an empty 304: a new version is there at once.
  'cache-control': 'no-cache',
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}

/** `GET /`: the chat page. `GET /playground`: the playground. `GET /site/*`: the files they are made of. */
export function pageRoutes(context: Context, folder: string = siteFolder): H3 {
  const routes = createRoutes(context)
  const site = new Site(folder)
  addRoute(routes, '/', { GET: event => answerIndex(event, site, context.backbone) })
  addRoute(routes, '/playground', {
    GET: async event =>
      answerFile(event, isInDevelopment(context) ? await site.file(playgroundName) : undefined),
  })
  addRoute(routes, `${route}/**`, {
    GET: async event => {
      const path = event.url.pathname.slice(route.length + 1)
      return answerFile(event, await namedFile(site, path, context))
    },
  })
  return routes
}

async function answerIndex(event: H3Event, site: Site, backbone: Backbone): Promise<HTTPResponse> {
  try {
    return answerFile(event, await indexOf(site, await defaultTopicOf(backbone)))
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    // Without the topic there is no chat to show. Whoever waits in front of a browser need not do it by hand.
    return new HTTPResponse('The broker cannot be reached. This page tries again by itself.\n', {
      status: error.status,
      headers: { ...headers, 'content-type': 'text/plain; charset=utf-8', 'retry-after': '1', refresh: '2' },
    })
  }
}

function isInDevelopment({ mode }: Context): boolean {
  return mode === 'development'
}

async function namedFile(site: Site, path: string, context: Context): Promise<SiteFile | undefined> {
  const name = decodePercent(path)
  // The pages have addresses of their own.
  if (name === undefined || name === indexName || name === playgroundName) return undefined
  return name.startsWith(playgroundFolder) && !isInDevelopment(context) ? undefined : site.file(name)
}

/** The page with the default topic in it. */
async function indexOf(site: Site, topicName: string): Promise<SiteFile | undefined> {
  const index = await site.file(indexName)
  if (!index) return undefined
  const html = Buffer.from(index.body).toString()
  const topic = escapeHtml(topicName)
  const filled = html.replace(
    /(<meta name="postern-topic" content=")[^"]*/,
    (_, before: string) => before + topic,
  )
  return toSiteFile(index.contentType, Buffer.from(filled))
}

function answerFile(event: H3Event, file: SiteFile | undefined): HTTPResponse {
  if (!file) return answerError(new PosternError('NOT_FOUND'))
  const { body, contentType, etag } = file
  if (event.req.headers.get('if-none-match') === etag)
    return new HTTPResponse(null, { status: 304, headers: { ...headers, etag } })
  return new HTTPResponse(new Uint8Array(body), {
    headers: { ...headers, etag, 'content-type': contentType },
  })
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, sign => `&#${sign.charCodeAt(0)};`)
}

export default pageRoutes(sharedContext)
