use Mojo::Base -strict, -signatures;
use Test::More;
use Mojo::URL;
use Peer qw(answer post);

my @routes  = qw(/sub/o /pub/o /bus/o /push/o /pull/o);
my @posts   = qw(/pub/o /bus/o /push/o);
my @refused = (401, 'Origin check failed');

sub from ($origin) { defined $origin ? {Origin => $origin} : {} }

# What becomes of all sockets and posts from a page.
sub is_open ($server, $origin) {
  my $name = $origin // 'no origin';
  is_deeply [answer($server . $_, from($origin))], [101], "$name: a WebSocket to $_" for @routes;
  is_deeply [post($server . $_, from($origin), 'x')], [200, ''], "$name: POST $_" for @posts;
}

sub is_refused ($server, $origin) {
  my $name = $origin // 'no origin';
  is_deeply [answer($server . $_, from($origin))], \@refused, "$name: a WebSocket to $_" for @routes;
  is_deeply [post($server . $_, from($origin), 'x')], \@refused, "$name: POST $_" for @posts;
}

subtest 'by default pages of the same host may come, and clients that are no browser' => sub {
  is_open($ENV{STRICT}, undef);
  is_open($ENV{STRICT}, 'http://' . Mojo::URL->new($ENV{STRICT})->host_port);
  is_refused($ENV{STRICT}, $_) for 'http://evil.example', 'null';
};

subtest 'with a list whoever is on it, and nobody else' => sub {
  is_open($ENV{LISTED}, $_) for 'http://example.com', 'https://example.com:8443', 'https://a.example.org';
  is_refused($ENV{LISTED}, $_)
    for undef, 'http://example.net', 'http://badexample.com', 'http://example.com.evil.example', 'http://example.org';
};

subtest 'in development mode every page' => sub {
  is_open($ENV{DEVELOPMENT}, $_) for undef, 'http://any.example';
};

done_testing;
