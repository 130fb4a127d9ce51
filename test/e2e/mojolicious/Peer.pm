package Peer;
use Mojo::Base -base, -signatures;
use Exporter qw(import);
use Mojo::IOLoop;
use Mojo::UserAgent;
use Mojo::WebSocket qw(WS_CLOSE WS_PING WS_PONG);

# One WebSocket of a Mojo::UserAgent. Each call waits for what it names, and dies with its name when it does not come.

our @EXPORT_OK = qw(answer post sender listener);

has tx      => undef;
has heard   => sub { [] };
has pings   => 0;
has pongs   => sub { [] };
has closed  => undef;
# The payload of the close frame that the server has sent.
has goodbye => undef;

# A bound for a broken test on a busy machine, not a wait.
my $within_s = 20;
my $ua       = Mojo::UserAgent->new;

# Two processes over one broker: whatever one is told, the other has to tell.
sub sender ($path)   { $ENV{SENDER} . $path }
sub listener ($path) { $ENV{LISTENER} . $path }

# An open connection. What follows the address goes to Mojo::UserAgent->websocket as it is.
sub open ($class, $url, @rest) {
  my $self = $class->new;
  # While it answers, and not later: the first messages may have come together with the answer.
  my $tx = handshake($url, @rest, sub ($ua, $tx) { $self->_listen($tx) if $tx->is_websocket });
  die "$url is no WebSocket: @{[$tx->res->code // $tx->error->{message}]}\n" unless $self->tx;
  return $self;
}

# The status and the body of the answer to a handshake that is refused.
sub answer ($url, @rest) {
  my $tx = handshake($url, @rest, sub { });
  return 101 if $tx->is_websocket;
  return $tx->res->code, $tx->res->body;
}

# The status and the body of the answer to a POST. What follows the address goes to Mojo::UserAgent->post as it is.
sub post ($url, @rest) {
  my $done;
  $ua->post($url, @rest, sub ($ua, $tx) { $done = $tx });
  wait_for("an answer from $url", sub {$done});
  return $done->res->code, $done->res->body;
}

sub handshake ($url, @rest) {
  my $answered = pop @rest;
  my $done;
  $ua->websocket($url, @rest, sub ($ua, $tx) { $answered->($ua, $done = $tx) });
  wait_for("an answer from $url", sub {$done});
  return $done;
}

sub say ($self, @messages) {
  $self->tx->send($_) for @messages;
  return $self;
}

# The next message, as its kind and its bytes.
sub hears ($self) {
  wait_for('a message', sub { @{$self->heard} || $self->closed });
  return shift(@{$self->heard}) // die "closed with @{[$self->closed->[0]]} instead of a message\n";
}

# The next messages, as their bytes.
sub hear ($self, $count = 1) { [map { $self->hears->[1] } 1 .. $count] }

# The payload of the next pong.
sub hears_pong ($self) {
  wait_for('a pong', sub { @{$self->pongs} });
  return shift @{$self->pongs};
}

sub hears_pings ($self, $count) {
  wait_for("$count pings", sub { $self->pings >= $count });
  return 1;
}

# Closes, and gives the payload of the server's close frame once the connection is gone.
sub close ($self, @how) {
  $self->tx->finish(@how);
  return $self->is_closed;
}

# Ends its side without a close frame, and waits until the server has noticed.
sub vanish ($self) {
  shutdown Mojo::IOLoop->stream($self->tx->connection)->handle, 1;
  return $self->is_closed;
}

# The payload of the server's close frame, once the connection is gone; undefined when there was none.
sub is_closed ($self) {
  wait_for('the end of a connection', sub { $self->closed });
  return $self->goodbye;
}

sub _listen ($self, $tx) {
  $self->tx($tx);
  # With its kind, and a text still as its bytes.
  $tx->on(text   => sub ($tx, $bytes) { push @{$self->heard}, [text   => $bytes] });
  $tx->on(binary => sub ($tx, $bytes) { push @{$self->heard}, [binary => $bytes] });
  $tx->on(frame  => sub ($tx, $frame) { $self->_control(@$frame[4, 5]) });
  $tx->on(finish => sub ($tx, @how) { $self->closed(\@how) });
}

sub _control ($self, $opcode, $payload) {
  $self->pings($self->pings + 1)   if $opcode == WS_PING;
  push @{$self->pongs}, $payload   if $opcode == WS_PONG;
  $self->goodbye($payload)         if $opcode == WS_CLOSE && !defined $self->goodbye;
}

sub wait_for ($what, $is_there) {
  my $is_late;
  my $timer = Mojo::IOLoop->timer($within_s => sub { $is_late = 1 });
  Mojo::IOLoop->one_tick until $is_there->() || $is_late;
  Mojo::IOLoop->remove($timer);
  die "$what has not come within $within_s s\n" if $is_late;
}

1;
